//! The example configuration, held against the options that there are.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy exempts only the tests")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use pds_log_server::config::Config;

fn example() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/log-server.toml");
    std::fs::read_to_string(path).unwrap()
}

/// `--check-config` of a file that holds `text`.
fn check(text: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log-server.toml");
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pds-log-server"));
    command.arg("--config").arg(&file).arg("--check-config").output().unwrap()
}

/// The key of `key = value`, commented or not; other lines have none.
fn key(line: &str) -> Option<&str> {
    let (key, _) = line.strip_prefix("# ").unwrap_or(line).split_once(" = ")?;
    key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_').then_some(key)
}

fn uncommented(text: &str) -> String {
    let line = |line: &str| match key(line) {
        Some(_) => format!("{}\n", line.strip_prefix("# ").unwrap_or(line)),
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[test]
fn example_is_accepted_as_it_is_and_with_every_option_set() {
    for text in [example(), uncommented(&example())] {
        let output = check(&text);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The options that there are in the table between `before` and `table`: the refusal of another lists them, in backticks.
fn known(before: &str, table: &str) -> BTreeSet<String> {
    let refusal = check(&format!("{before}no_such_option = 1\n{table}"));
    assert_eq!(refusal.status.code(), Some(1));
    let message = String::from_utf8(refusal.stderr).unwrap();
    let (_, listed) = message.split_once("expected one of").expect("a list of the options");
    listed.lines().next().unwrap().split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn example_names_every_option_once() {
    let text = example();
    let (top, http) = text.split_once("[http]\n").expect("the table of HTTP");
    let named = |table: &str| {
        let named: Vec<String> = table.lines().filter_map(key).map(str::to_owned).collect();
        let distinct: BTreeSet<String> = named.iter().cloned().collect();
        assert_eq!(named.len(), distinct.len(), "{named:?}");
        distinct
    };
    let mut in_top = named(top);
    in_top.insert("http".to_owned());
    assert_eq!(in_top, known("", &text));
    assert_eq!(named(http), known(&format!("{top}[http]\n"), http));
}

#[test]
fn config_is_refused_when_a_value_is_out_of_bounds() {
    let refused = |from: &str, to: &str, says: &str| {
        let text = uncommented(&example());
        assert!(text.contains(from), "{from}");
        let output = check(&text.replace(from, to));
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{to}");
        assert!(message.contains(says), "{to}: {message}");
    };
    refused("epoch_interval_s = 60", "epoch_interval_s = 0", "epoch_interval_s is 1 to 86400, not 0");
    refused("decide_within_s = 3600", "decide_within_s = 119", "decide_within_s is 120 to");
    refused("queue_limit = 10000", "queue_limit = 32769", "queue_limit is 1 to 32768");
    let (from, says) = ("queue_limit_per_owner = 2500", "queue_limit_per_owner is 1 to 10000");
    refused(from, "queue_limit_per_owner = 10001", says);
    let (from, says) = ("queue_limit_per_client = 2500", "queue_limit_per_client is 1 to 10000");
    refused(from, "queue_limit_per_client = 0", says);
    refused("builders = 1", "builders = 65", "builders is 0 to 64");
    refused("upload_memory_mib = 256", "upload_memory_mib = 127", "upload_memory_mib is 128 to 65536");
    refused("answer_memory_mib = 256", "answer_memory_mib = 255", "http.answer_memory_mib is 256 to 65536");
    refused("compile_limit_s = 20", "compile_limit_s = 0", "compile_limit_s is 1 to 600");
    refused("shutdown_grace_s = 30", "shutdown_grace_s = 3601", "shutdown_grace_s is 0 to 3600");
    refused("block_cache_mib = 128", "block_cache_mib = 7", "block_cache_mib is 8 to 65536");
    refused("connections = 4096", "connections = 0", "http.connections is 1 to 100000");
    refused("header_bytes = 32768", "header_bytes = 65537", "http.header_bytes is 4096 to 65536");
    refused("\"::1\"", "\"localhost\"", "proxies");
    refused("str_key = \"str.key\"", "str_key = \"log.key\"", "log_key and str_key are one file");
    refused("\"structure & reproducible\"", "\"structure & nonsense\"", "acceptance");
    refused("\"structure & reproducible\"", "\"structure &\"", "acceptance");
    refused("\"pv1.example\"", "\"pv 1\"", "origin");
    refused("log_filter = \"info\"", "log_filter = \"a=b=c\"", "log_filter");
    refused("log_format = \"text\"", "log_format = \"xml\"", "xml");
    refused("listen = \"127.0.0.1:7400\"", "listen = \"localhost\"", "listen");
}

/// What stands between the option `key` and the options before it, on one line.
fn comment(text: &str, key: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let at = lines.iter().position(|line| self::key(line) == Some(key)).unwrap();
    let above = lines[..at].iter().rev().skip_while(|line| self::key(line).is_some());
    let mut comment: Vec<&str> = above.map_while(|line| line.strip_prefix("# ")).collect();
    comment.reverse();
    comment.join(" ")
}

/// `86400` as `86,400`.
fn grouped(number: &str) -> String {
    let digits = number.bytes().rev().collect::<Vec<_>>();
    let groups = digits.chunks(3).map(|group| String::from_utf8(group.to_vec()).unwrap());
    groups.collect::<Vec<_>>().join(",").chars().rev().collect()
}

#[test]
fn example_states_the_bounds_of_every_option_that_has_them() {
    let text = uncommented(&example());
    let mut bounded = 0;
    for line in text.lines() {
        let Some((key, value)) = line.split_once(" = ").filter(|(_, value)| value.parse::<u64>().is_ok())
        else {
            continue;
        };
        let refusal = check(&text.replace(&format!("\n{line}\n"), &format!("\n{key} = {}\n", i64::MAX)));
        let message = String::from_utf8(refusal.stderr).unwrap();
        assert_eq!(refusal.status.code(), Some(1), "{key} has no bounds");
        let (_, bounds) = message.split_once(&format!("{key} is ")).unwrap_or_else(|| panic!("{message}"));
        let (least, most) = bounds.split_once(',').unwrap().0.split_once(" to ").unwrap();
        let bounds = match key {
            "decide_within_s" => format!("two epochs to {}", grouped(most)),
            "queue_limit_per_owner" | "queue_limit_per_client" => format!("{least} to queue_limit"),
            _ => format!("{} to {}", grouped(least), grouped(most)),
        };
        let comment = comment(&example(), key);
        assert!(comment.contains(&bounds), "{key} = {value} is {bounds}, and the comment is: {comment}");
        bounded += 1;
    }
    assert_eq!(bounded, 25);
}

#[test]
fn example_has_the_defaults_of_the_code() {
    let parse = |text: &str| Config::parse(Path::new("log-server.toml"), text).unwrap();
    let (default, mut stated) = (parse(&example()), parse(&uncommented(&example())));
    assert_eq!(stated.guard_file(), default.guard_file());
    assert_eq!(format!("{:?}", stated.queue_limits()), format!("{:?}", default.queue_limits()));
    // Their defaults follow from other options.
    (stated.guard, stated.queue_limit_per_owner, stated.queue_limit_per_client) = (None, None, None);
    // There is none: it is an example.
    stated.address_file = None;
    assert_eq!(format!("{stated:#?}"), format!("{default:#?}"));
}
