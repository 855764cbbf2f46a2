//! Platforms: the one that ships, one that nobody has, and texts that are none.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy exempts only the tests")]

mod properties;
mod whole;

use std::collections::BTreeSet;

use pds_validator::platform::{
    Access, ArgumentKind, DataReference, FieldKind, Length, MAX_BYTES, Monitor, Platform, PlatformError,
    Position, Range, Returns, Rule, Runs, Scalar, Type, Unreliable, Value,
};
use pds_validator::structure::StructureLimits;

use whole::check_whole;

const PQUIC: &str = include_str!("../../../platforms/pquic.toml");
const TINY: &str = include_str!("../platforms/tinyrouter.toml");

fn pquic() -> Platform {
    Platform::parse(PQUIC).unwrap()
}

fn tiny() -> Platform {
    Platform::parse(TINY).unwrap()
}

#[test]
fn pquic_has_every_helper_and_operation_it_registers() {
    let platform = pquic();
    assert_eq!((platform.name.as_str(), platform.revision), ("pquic", 1));
    // 114 names that pluglets can call, and the monitor's.
    assert_eq!(platform.helpers.len(), 115);
    assert_eq!(platform.operations.len(), 80);
    let parametrised: Vec<&str> = platform
        .operations
        .iter()
        .filter(|(_, o)| o.parameter.is_some())
        .map(|(name, _)| name.as_str())
        .collect();
    let expect = [
        "notify_frame",
        "parse_frame",
        "process_frame",
        "process_transport_parameter",
        "write_frame",
        "write_transport_parameter",
    ];
    assert_eq!(parametrised, expect);
    let unusable: Vec<&str> = platform
        .helpers
        .iter()
        .filter(|(_, h)| h.unusable.is_some())
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(unusable, ["picoquic_memory_bound_error", "picoquic_parse_stream_header"]);
}

#[test]
fn shipped_platform_has_no_loose_ends() {
    check_whole(&pquic());
    check_whole(&tiny());
}

#[test]
fn pquic_has_the_limits_that_structure_had_built_in() {
    let (limits, built_in) = (pquic().limits, StructureLimits::default());
    assert_eq!(limits.object_bytes as usize, built_in.object_bytes);
    assert_eq!(limits.sections as usize, built_in.sections);
    assert_eq!(limits.checked_slots as usize, built_in.checked_slots);
    assert_eq!(limits.checked_accesses as usize, built_in.checked_accesses);
    assert_eq!(limits.slots_per_check as usize, built_in.slots_per_check);
    assert_eq!(i32::from(limits.stack_bytes), i32::from(built_in.stack_bytes));
}

#[test]
fn pquic_says_what_its_fields_hold() {
    let platform = pquic();
    let cnx = platform.read_by("get_cnx").unwrap();
    assert_eq!(platform.handle(cnx.handle).name, "cnx");
    assert_eq!(platform.entry[&1], Type::Handle(cnx.handle));
    let path = &cnx.keys[&0x2e];
    assert_eq!(
        (path.name.as_str(), path.nullable, path.index.as_deref()),
        ("AK_CNX_PATH", true, Some("path"))
    );
    let Some(Value::Fixed(Type::Handle(kind))) = path.get else { panic!("{path:?}") };
    assert_eq!(platform.handle(kind).name, "path");
    assert!(path.hazard.is_some());
    assert_eq!((cnx.keys[&0x00].get, cnx.keys[&0x00].set), (Some(Value::Input), None));
    assert_eq!(cnx.keys[&0x01].set, Some(Value::Output));
    assert_eq!((cnx.keys[&0x0f].set, cnx.metadata.as_ref().unwrap().slots), (None, 10));
    let cwin = &platform.written_by("set_path").unwrap().keys[&0x17];
    assert_eq!(
        (cwin.name.as_str(), cwin.set),
        ("AK_PATH_CWIN", Some(Value::Fixed(Type::Scalar(Scalar::U64))))
    );
}

#[test]
fn pquic_says_what_its_helpers_touch() {
    let platform = pquic();
    let memcpy = &platform.helpers["my_memcpy"];
    let size = Length::Count { count: Position(2), times: 1, plus: 0, least: 0, most: None };
    assert_eq!(memcpy.arguments[0].kind, ArgumentKind::Memory(Access::Fills, size));
    assert_eq!(memcpy.arguments[1].kind, ArgumentKind::Memory(Access::Reads, size));
    assert_eq!(memcpy.returns, Returns::Argument { of: Position(0), nullable: false });
    let malloc = &platform.helpers["my_malloc"];
    assert_eq!(malloc.returns, Returns::Allocation { size: Position(1), nullable: true });
    assert_eq!(malloc.arguments[1].kind, ArgumentKind::Number(Scalar::U32, None));
    let slot = &platform.helpers["set_cnx_metadata"].arguments[1];
    assert_eq!(slot.kind, ArgumentKind::Number(Scalar::I32, Some(Range { min: 0, max: 9 })));
    let run = platform.helpers["plugin_run_protoop"].calls.unwrap();
    let structure = platform.structure(run.structure);
    let outputs = &structure.fields[usize::from(run.outputs.0)];
    assert_eq!(outputs.kind, FieldKind::Pointer(Access::MayWrite, Length::Outputs));
    assert_eq!((outputs.offset, outputs.bytes, outputs.nullable, structure.bytes), (24, 8, true, 32));
    assert_eq!(platform.helpers["picoquic_decode_frames_without_current_time"].effects.runs, Runs::Any);
    assert!(platform.unreliable.contains(&Unreliable::Mov32Register));
}

#[test]
fn platform_of_another_host_is_read_without_code_for_it() {
    let platform = tiny();
    assert_eq!((platform.entry.len(), platform.limits.stack_bytes), (2, 512));
    assert_eq!((platform.data, platform.memory.monitor), (DataReference::Section, Monitor::AllBytes));
    assert_eq!(platform.helpers.len(), 8);
    assert!(platform.manifest.anchors["filter"].exclusive && !platform.manifest.anchors["watch"].decides);
    assert_eq!(
        platform.helpers["parse_prefix"].arguments[0].kind,
        ArgumentKind::Memory(Access::Reads, Length::TextWithin(Position(1)))
    );
    assert_eq!(platform.helpers["say"].values, Some(Position(0)));
    assert_eq!(platform.helpers["ask"].effects.runs, Runs::Only(BTreeSet::from(["choose".to_owned()])));
    assert_eq!(platform.objects["route"].keys[&9].get, platform.objects["route"].keys[&9].set);
    assert_ne!(platform.digest, pquic().digest);
}

/// The error of [`TINY`] with one piece of its text replaced.
fn error(from: &str, to: &str) -> PlatformError {
    assert_eq!(TINY.matches(from).count(), 1, "{from:?} is not there once");
    Platform::parse(&TINY.replace(from, to)).expect_err(to)
}

#[test]
fn platform_is_refused_with_its_key_and_rule() {
    let check = |from: &str, to: &str, key: &str, expect: Rule| {
        assert_eq!(error(from, to), PlatformError::Rule { key: key.to_owned(), rule: expect }, "{to:?}");
    };
    let unknown = |kind, name: &str| Rule::Unknown { kind, name: name.to_owned() };
    let range = |found, least, most| Rule::OutOfRange { found, least, most };

    check("name = \"tinyrouter\"", "name = \"tiny router\"", "name", Rule::Name("tiny router".into()));
    check("revision = 3", "revision = 0", "revision", range(0, 1, u32::MAX.into()));
    check("a router that nobody has", "", "description", Rule::Line);
    check("made up for tests", "a\\u0007", "sources.0", Rule::Line);
    check("\"-O2\"", "\"-O2 -x\"", "build.flags.2", Rule::CompilerArgument("-O2 -x".into()));
    check("\"-O2\"", "\"@/etc/passwd\"", "build.flags.2", Rule::CompilerArgument("@/etc/passwd".into()));
    check("\"TINY=1\"", "\"TINY=$(x)\"", "build.defines.0", Rule::CompilerArgument("TINY=$(x)".into()));
    for path in ["/include", "../include", "include/../..", "a//b", "-I"] {
        check("[\"include\"]", &format!("[{path:?}]"), "build.headers.0", Rule::Path(path.into()));
    }
    check("stack_bytes = 512", "stack_bytes = 0", "limits.stack_bytes", range(0, 8, 32_768));
    check("sections = 64", "sections = 65535", "limits.sections", range(65_535, 2, 65_279));
    check(
        "heap_bytes = 0",
        "heap_bytes = 9000000000000000000",
        "memory.heap_bytes",
        range(9_000_000_000_000_000_000, 0, 1 << 40),
    );
    let allocators = "[memory.allocators]\nbig = { option = \"big\", alignment = 8 }";
    let key = "memory.allocators.big";
    check(
        "[memory.allocators]",
        allocators,
        key,
        Rule::Misplaced("an unknown option, or an alignment that is no power of two"),
    );
    check("r2 = \"u64\"", "r6 = \"u64\"", "entry.r6", unknown("register", "r6"));
    check("r2 = \"u64\"", "r2 = \"u63\"", "entry.r2", unknown("type", "u63"));
    check(
        "route\", bytes = 16 }",
        "route\", writable = true }",
        "handles.prefix",
        Rule::Misplaced("writable"),
    );
}

#[test]
fn structure_is_refused_with_its_key_and_rule() {
    let check = |from: &str, to: &str, key: &str, expect: Rule| {
        assert_eq!(error(from, to), PlatformError::Rule { key: key.to_owned(), rule: expect }, "{to:?}");
    };
    let fields = |i: usize| format!("structs.query.fields.{i}");
    check(
        "name = \"values\", offset = 4",
        "name = \"values\", offset = 3",
        &fields(1),
        Rule::Layout { from: 3, to: 7 },
    );
    check("offset = 16, access", "offset = 17, access", &fields(3), Rule::Layout { from: 17, to: 25 });
    let far = "offset = 4294967295, access";
    check("offset = 16, access", far, &fields(3), Rule::Layout { from: u32::MAX, to: u32::MAX });
    check("name = \"values\", offset", "name = \"kind\", offset", &fields(1), Rule::Duplicate("kind".into()));
    let unknown = Rule::Unknown { kind: "field", name: "value".into() };
    check("count = \"values\"", "count = \"value\"", &fields(2), unknown);
    let wrong = Rule::WrongKind { kind: "number", name: "answers".into() };
    check("count = \"values\"", "count = \"answers\"", &fields(2), wrong);
    check(", outputs = true", "", &fields(3), Rule::ExactlyOne("count, text, outputs"));
    check(
        "bytes = 24",
        "bytes = 4096",
        "structs.query.bytes",
        Rule::OutOfRange { found: 4096, least: 1, most: 2048 },
    );
}

#[test]
fn helper_is_refused_with_its_key_and_rule() {
    let check = |from: &str, to: &str, key: &str, expect: Rule| {
        let key = format!("helpers.{key}");
        assert_eq!(error(from, to), PlatformError::Rule { key, rule: expect }, "{to:?}");
    };
    let unknown = |kind, name: &str| Rule::Unknown { kind, name: name.to_owned() };
    let wrong = |kind, name: &str| Rule::WrongKind { kind, name: name.to_owned() };
    check("class = \"say\"", "class = \"shout\"", "say.class", unknown("class", "shout"));
    check("[helpers.say]", "[helpers.\"1st\"]", "1st", Rule::Name("1st".into()));
    let argument = "{ name = \"size\", type = \"u16\", min = 1, max = 1500 }";
    let one = |raw: &str, expect| check(argument, raw, "borrow.arguments.0", expect);
    one("{ name = \"size\" }", Rule::ExactlyOne("type, access, struct, frees"));
    one("{ name = \"size\", type = \"u16\", frees = true }", Rule::ExactlyOne("type, access, struct, frees"));
    one("{ name = \"size\", type = \"u16\", bytes = 4 }", Rule::Misplaced("a length"));
    one("{ name = \"size\", type = \"u16\", nullable = true }", Rule::Misplaced("nullable or keeps"));
    one("{ name = \"size\", type = \"route\", max = 4 }", Rule::Misplaced("min or max"));
    one("{ name = \"size\", struct = \"route\" }", unknown("struct", "route"));
    one("{ name = \"size\", access = \"reads\", count = \"size\" }", wrong("number", "size"));
    one("{ name = \"size\", access = \"reads\", count = \"sizes\" }", unknown("argument", "sizes"));
    let length = Rule::ExactlyOne("bytes, count, text, until, count_at, and what goes with it");
    one("{ name = \"size\", access = \"reads\" }", length.clone());
    one("{ name = \"size\", access = \"reads\", bytes = 4, times = 2 }", length);
    check(
        argument,
        "{ name = \"size\", type = \"u16\", min = 9, max = 8 }",
        "borrow.arguments.0.max",
        Rule::OutOfRange { found: 8, least: 9, most: 0xffff },
    );
    check(
        argument,
        "{ name = \"size\", type = \"u16\", max = 65536 }",
        "borrow.arguments.0.max",
        Rule::OutOfRange { found: 65_536, least: 0, most: 0xffff },
    );
    check("allocation = \"size\"", "allocation = \"sizes\"", "borrow.returns", unknown("argument", "sizes"));
    check("inside = \"text\"", "inside = \"length\"", "parse_prefix.returns", wrong("pointer", "length"));
    check("values = \"format\"", "values = \"formats\"", "say.values", unknown("argument", "formats"));
    check("runs = [\"choose\"]", "runs = [\"chose\"]", "ask.runs", unknown("operation", "chose"));
    check(
        "inputs = \"given\"",
        "inputs = \"kind\"",
        "ask.calls",
        wrong("pointer to words that are counted", "kind"),
    );
    check("outputs = \"answers\"", "outputs = \"given\"", "ask.calls", wrong("pointer to outputs", "given"));
    let calls = "calls = { name = \"name\", call = \"query\", parameter = \"kind\", inputs = \"given\", outputs = \"answers\" }\n";
    check(calls, "", "ask.arguments.2", Rule::Misplaced("outputs"));
    let six = "{ name = \"a\", frees = true }, ".repeat(6);
    check(
        "{ name = \"memory\", frees = true, nullable = true }",
        &six,
        "give_back.arguments",
        Rule::TooMany { found: 6, limit: 5 },
    );
    check(
        "writes = [\"system.console\"]",
        "writes = [\"system..x\"]",
        "say.writes",
        Rule::Name(String::new()),
    );
}

#[test]
fn object_is_refused_with_its_key_and_rule() {
    let check = |from: &str, to: &str, key: &str, expect: Rule| {
        let key = format!("objects.route.{key}");
        assert_eq!(error(from, to), PlatformError::Rule { key, rule: expect }, "{to:?}");
    };
    let unknown = |kind, name: &str| Rule::Unknown { kind, name: name.to_owned() };
    check("getter = \"route_get\"", "getter = \"get\"", "getter", unknown("helper", "get"));
    let takes = Rule::WrongKind { kind: "helper that takes the object", name: "say".into() };
    check("getter = \"route_get\"", "getter = \"say\"", "getter", takes);
    check("setter = \"route_set\"", "setter = \"route_get\"", "setter", unknown("argument", "value"));
    check("setter = \"route_set\"\n", "", "keys.1", Rule::Misplaced("set or hazard"));
    check("{ key = 9,", "{ key = 2,", "keys.2", Rule::Duplicate("ROUTE_NEXT".into()));
    check("\"ROUTE_NEXT\"", "\"ROUTE_METRIC\"", "keys.2", Rule::Duplicate("ROUTE_METRIC".into()));
    check(
        "get = \"prefix\" }",
        "get = \"input\" }",
        "keys.0",
        Rule::Misplaced("input or output without an index"),
    );
    check("get = \"prefix\" }", "get = \"prefix\", index = \"x\" }", "keys.0", unknown("index", "x"));
    let silent = Rule::Misplaced("a field that is neither read nor written");
    check(", get = \"prefix\" }", " }", "keys.0", silent);
}

#[test]
fn platform_is_refused_when_it_is_not_of_this_shape() {
    assert_eq!(error("format = 1", "format = 2"), PlatformError::Format(2));
    // A newer format may have any keys.
    assert_eq!(error("format = 1", "format = 2\nnews = true"), PlatformError::Format(2));
    for (from, to, word) in [
        ("revision = 3", "revision = 3\nrevisoin = 4", "revisoin"),
        ("frees = true", "free = true", "free"),
        ("bytes = 24", "bytes = -1", "-1"),
        ("monitor = \"all-bytes\"", "monitor = \"some\"", "some"),
        ("[loader]\ndata = \"section\"\n", "", "loader"),
        ("{ key = 9,", "{ key = 65536,", "65536"),
        ("format = 1", "", "format"),
    ] {
        let error = error(from, to);
        assert!(matches!(error, PlatformError::Toml(_)), "{error:?}");
        assert!(error.to_string().contains(word), "{error}");
    }
    let long = format!("{TINY}#{}", "x".repeat(MAX_BYTES));
    assert_eq!(Platform::parse(&long), Err(PlatformError::TooLarge(long.len())));
}

#[test]
fn platform_deeply_nested_is_refused() {
    let nested = format!("format = 1\nx = {}", "[".repeat(100_000));
    assert!(matches!(Platform::parse(&nested), Err(PlatformError::Toml(_))));
}
