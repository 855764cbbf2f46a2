//! The sample plugins of `tests/plugins`, and sources made to misbehave, through the whole of a validation.
//!
//! These need clang, as a validator does.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy exempts only the tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pds_plugin::archive::{ArchiveLimits, pack, read_folder};
use pds_plugin::source::SourceTree;
use pds_schemas::Digest;
use pds_validator::build::{BuildFailure, Built, Circumstances, Recipe, build};
use pds_validator::reproducible::{Against, Difference, Reproducible, object_digest};
use pds_validator::structure::StructureError;
use pds_validator::{Outcome, Stage, validate, validate_archive};

/// Nothing stops a build here.
static RUNS: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

fn recipe() -> Recipe {
    let clang = std::process::Command::new("/usr/bin/clang").arg("--version").output();
    assert!(clang.is_ok(), "clang is missing: install it (apt-get install clang), as `make` does");
    Recipe::pquic()
}

fn sample(short: &str) -> SourceTree {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/plugins").join(short);
    read_folder(&folder, &ArchiveLimits::default()).unwrap()
}

fn validated(short: &str) -> Outcome {
    validate(&sample(short), &format!("{short}.plugin"), &recipe(), None, &RUNS)
}

fn tree(files: &[(&str, &str)]) -> SourceTree {
    let mut tree = SourceTree::default();
    for (path, content) in files {
        tree.insert(path, content.as_bytes().to_vec()).unwrap();
    }
    tree
}

fn build_one(source: &str, recipe: &Recipe) -> Result<Built, BuildFailure> {
    build(&tree(&[("a.c", source)]), "", &BTreeSet::from(["a.o"]), recipe, Circumstances::Plain, &RUNS)
}

#[test]
fn good_samples_build_hold_and_reproduce() {
    for (short, objects) in [("pacing", 3), ("telemetry", 4), ("buffer", 4), ("datagram", 6)] {
        let outcome = validated(short);
        assert_eq!(outcome.failure, None, "{short}");
        assert_eq!(outcome.manifest.unwrap().name.as_str(), format!("org.example.{short}"));
        assert_eq!(outcome.objects.len(), objects, "{short}");
        for (object, report) in &outcome.structure {
            let report = report.as_ref().unwrap();
            assert_eq!(format!("{}.o", report.entry), *object);
            assert_eq!(report.warnings, [], "{object}");
            assert!(report.helpers.iter().any(|helper| helper.starts_with("get_cnx")), "{object}");
        }
        assert_eq!(outcome.reproducible, Some(Reproducible::Proved(Against::SecondBuild)), "{short}");
        let environment = outcome.environment.unwrap();
        assert!(environment.compiler.contains("clang version"), "{}", environment.compiler);
        assert!(!environment.confined);
    }
}

#[test]
fn broken_sample_is_refused_by_structure() {
    let outcome = validated("broken");
    let failure = outcome.failure.unwrap();
    assert_eq!((failure.stage, failure.object.as_deref()), (Stage::Structure, Some("smooth_rtt.o")));
    assert!(matches!(outcome.structure["smooth_rtt.o"], Err(StructureError::LocalCall { .. })));
    assert!(outcome.structure["packet_lost.o"].is_ok());
    assert_eq!(outcome.reproducible, Some(Reproducible::Proved(Against::SecondBuild)));
}

#[test]
fn syntax_sample_fails_to_build_with_the_compilers_words() {
    let outcome = validated("syntax");
    let failure = outcome.failure.unwrap();
    assert_eq!((failure.stage, failure.object.as_deref()), (Stage::Build, Some("stream_opened.o")));
    assert!(failure.message.contains("./stream_opened.c:6:58: error: expected ';'"), "{}", failure.message);
    assert!(!failure.is_ours);
    assert!(outcome.objects.is_empty() && outcome.structure.is_empty());
}

#[test]
fn submitted_bytecode_is_compared() {
    let built = validated("pacing").objects;
    let mut digests: BTreeMap<_, _> =
        built.iter().map(|(name, bytes)| (name.clone(), object_digest(bytes))).collect();
    let check = |digests: &BTreeMap<String, Digest>| {
        validate(&sample("pacing"), "pacing.plugin", &recipe(), Some(digests), &RUNS)
    };
    let equal = check(&digests);
    assert_eq!(equal.reproducible, Some(Reproducible::Proved(Against::SecondBuildAndSubmission)));
    digests.insert("drain_bucket.o".into(), object_digest(b"something else"));
    let failure = check(&digests).failure.unwrap();
    assert_eq!((failure.stage, failure.object.as_deref()), (Stage::Reproducible, Some("drain_bucket.o")));
}

#[test]
fn archive_is_validated_like_its_tree() {
    let limits = ArchiveLimits::default();
    let packed = pack(&sample("telemetry")).unwrap();
    let outcome = validate_archive(&packed, &limits, "telemetry.plugin", &recipe(), None, &RUNS);
    assert_eq!(outcome.failure, None);
    assert_eq!(outcome.objects, validated("telemetry").objects);
    let cut = validate_archive(&packed[..100], &limits, "telemetry.plugin", &recipe(), None, &RUNS);
    assert_eq!(cut.failure.unwrap().stage, Stage::Archive);
    let elsewhere = validate_archive(&packed, &limits, "other.plugin", &recipe(), None, &RUNS);
    assert_eq!(elsewhere.failure.unwrap().stage, Stage::Manifest);
}

#[test]
fn objects_are_built_beside_a_manifest_in_a_folder() {
    let tree = tree(&[
        ("p/q/x.plugin", "a.b\nop replace sub/a.o\n"),
        ("p/q/sub/a.c", "#include \"../../shared.h\"\nlong a(void *cnx) { return VALUE; }"),
        ("p/shared.h", "#define VALUE 7"),
    ]);
    let outcome = validate(&tree, "p/q/x.plugin", &recipe(), None, &RUNS);
    assert_eq!(outcome.failure, None);
    assert_eq!(outcome.structure["sub/a.o"].as_ref().unwrap().instructions, 2);
}

#[test]
fn source_that_is_missing_is_named() {
    let outcome =
        validate(&tree(&[("x.plugin", "a.b\nop replace a.o\n")]), "x.plugin", &recipe(), None, &RUNS);
    let failure = outcome.failure.unwrap();
    assert_eq!((failure.stage, failure.object.as_deref()), (Stage::Build, Some("a.o")));
}

#[test]
fn build_refuses_what_cannot_be_reproduced() {
    let refused = build_one("const char *a(void *cnx) { return __TIME__; }", &recipe());
    match refused {
        Err(BuildFailure::Refused { words, .. }) => assert!(words.contains("date-time"), "{words}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn debug_information_is_found_not_to_be_reproducible() {
    let mut recipe = recipe();
    recipe.flags.push("-g".into());
    let tree = tree(&[("x.plugin", "a.b\nop replace a.o\n"), ("a.c", "long a(void *cnx) { return 1; }")]);
    let outcome = validate(&tree, "x.plugin", &recipe, None, &RUNS);
    match outcome.reproducible {
        Some(Reproducible::Refuted(Difference::Builds { object, section, .. })) => {
            assert_eq!(object, "a.o");
            assert_ne!(section, ".text");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(outcome.failure.unwrap().stage, Stage::Reproducible);
}

#[test]
fn compilers_words_show_no_path_of_the_machine_and_are_cut() {
    let mut recipe = recipe();
    recipe.words_bytes = 1_000;
    let source = format!("#include \"missing.h\"\n{}", "int x = y;\n".repeat(500));
    let words = |source: &str| match build_one(source, &recipe) {
        Err(BuildFailure::Refused { words, .. }) => words,
        other => panic!("{other:?}"),
    };
    assert!(words(&source).contains("./a.c:1:10: fatal error: 'missing.h' file not found"));
    let long = words(
        "#pragma clang diagnostic ignored \"-Wall\"\nint a(void) { return b0 + b1; }\n#error \u{1b}[31mred",
    );
    assert!(!long.contains('\u{1b}'), "{long}");
    let undeclared: String = (0..100).map(|i| format!("int f{i} = missing{i};\n")).collect();
    let cut = words(&undeclared);
    assert!(cut.contains("more bytes were cut)"), "{cut}");
    assert!(cut.len() < 1_100);
    for words in [words(&source), long, cut] {
        assert!(!words.contains("pds-build-"), "{words}");
    }
}

/// A recipe whose compiler is a script, beside a folder that keeps it.
fn scripted(script: &str) -> (Recipe, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let compiler: PathBuf = folder.path().join("compiler");
    let script = format!("#!/bin/sh\nif [ \"$1\" = --version ]; then echo script 1; exit; fi\n{script}\n");
    // Written under another name, so that no process of a parallel test holds the script open for writing.
    std::fs::write(folder.path().join("new"), script).unwrap();
    let copied =
        std::process::Command::new("cp").arg(folder.path().join("new")).arg(&compiler).status().unwrap();
    assert!(copied.success());
    std::fs::set_permissions(&compiler, std::fs::Permissions::from_mode(0o755)).unwrap();
    let recipe = Recipe { compiler, flags: vec![], time_limit: Duration::from_secs(10), ..Recipe::pquic() };
    (recipe, folder)
}

#[test]
fn build_fails_when_the_compiler_misbehaves() {
    let check = |script: &str, change: fn(&mut Recipe)| {
        let (mut recipe, _folder) = scripted(script);
        change(&mut recipe);
        build_one("", &recipe).expect_err(script)
    };
    let object = || "a.o".to_owned();
    assert_eq!(
        check("echo fine", |_| {}),
        BuildFailure::NoObject { object: object(), words: "fine\n".into() }
    );
    assert_eq!(
        check(": > \"$4\"", |_| {}),
        BuildFailure::NoObject { object: object(), words: String::new() }
    );
    assert_eq!(
        check("head -c 100 /dev/zero > \"$4\"", |recipe| recipe.object_bytes = 99),
        BuildFailure::ObjectTooLarge { object: object(), size: 100, limit: 99 }
    );
    assert_eq!(
        check("head -c 100 /dev/zero > \"$4\"", |recipe| recipe.total_object_bytes = 99),
        BuildFailure::TotalTooLarge { object: object(), limit: 99 }
    );
    let killed = check("kill -9 $$", |_| {});
    assert_eq!(killed, BuildFailure::Killed { object: object(), signal: 9, words: String::new() });
    let limit = Duration::from_millis(300);
    let late = check("sleep 1000", |recipe| recipe.time_limit = Duration::from_millis(300));
    assert_eq!(late, BuildFailure::TimedOut { object: object(), limit });
    assert!(matches!(
        check("sleep 1000", |recipe| recipe.total_time_limit = Duration::ZERO),
        BuildFailure::TimedOut { .. }
    ));
    // A link to a file of the machine in the object's place.
    assert!(matches!(check("ln -s /etc/passwd \"$4\"", |_| {}), BuildFailure::NoObject { .. }));
}

#[test]
fn compiler_gets_an_environment_of_our_making() {
    let (recipe, _folder) =
        scripted("env | grep -v -e ^PWD= -e ^_= -e ^OLDPWD= -e ^SHLVL= | sort; ls; read x || echo no input");
    match build_one("", &recipe) {
        Err(BuildFailure::NoObject { words, .. }) => assert_eq!(
            words,
            "HOME=<output>\nLC_ALL=C\nPATH=/usr/bin:/bin\nTMPDIR=<output>\nTZ=UTC\na.c\nno input\n"
        ),
        other => panic!("{other:?}"),
    }
}

#[test]
fn missing_compiler_is_the_validators_own_fault() {
    let recipe = Recipe { compiler: "/nonexistent/clang".into(), ..Recipe::pquic() };
    assert!(matches!(build_one("", &recipe), Err(BuildFailure::NoCompiler { .. })));
    let tree = tree(&[("x.plugin", "a.b\nop replace a.o\n"), ("a.c", "")]);
    assert!(validate(&tree, "x.plugin", &recipe, None, &RUNS).failure.unwrap().is_ours);
}

#[test]
fn fault_of_the_validators_own_comes_before_a_refusal() {
    // Gone after the first build, whose object is none.
    let (recipe, _folder) = scripted("echo no object > \"$4\"; rm \"$0\"");
    let tree = tree(&[("x.plugin", "a.b\nop replace a.o\n"), ("a.c", "")]);
    let outcome = validate(&tree, "x.plugin", &recipe, None, &RUNS);
    assert!(outcome.structure["a.o"].is_err());
    assert!(outcome.failure.unwrap().is_ours);
}
