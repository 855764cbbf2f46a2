//! The adapters in `deploy/verifiers/`, with programs that speak as the tools do standing where those would.
//!
//! What the tools really write is quoted here line by line; where one is installed (Frama-C), it is asked itself.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy exempts only the tests")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use pds_schemas::Finding;
use pds_validator::external::{Answer, AnswerError, read};

/// A folder with a source, an object, and programs standing in for tools.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.c"), "int entry(void) { return 0; }\n").unwrap();
        fs::write(folder.path().join("a.o"), "code").unwrap();
        Self(folder)
    }

    /// A program that writes `words` and ends with `status`.
    fn tool(self, name: &str, words: &str, status: i32) -> Self {
        fs::write(self.path("words"), words).unwrap();
        let words = self.path("words");
        self.script(name, &format!("cat {}\nexit {status}\n", words.display()))
    }

    fn script(self, name: &str, body: &str) -> Self {
        let file = self.path(name);
        fs::write(&file, format!("#!/bin/sh\n[ \"$1\" != --version ] || {{ echo 1.2.3; exit 0; }}\n{body}"))
            .unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o700)).unwrap();
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// What the adapter says when the variables named are these programs.
    fn ask(&self, adapter: &str, property: &str, tools: &[(&str, &str)]) -> Result<Answer, AnswerError> {
        let mut command =
            Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/verifiers").join(adapter));
        command.args(["--property", property, "--entry", "entry", "--timeout", "20"]);
        command.arg("--source").arg(self.path("a.c")).arg("--object").arg(self.path("a.o"));
        command.env_clear().env("PATH", "/usr/bin:/bin").env("TMPDIR", self.0.path());
        command.envs(tools.iter().map(|(variable, name)| (variable, self.path(name))));
        let output = command.output().unwrap();
        let left =
            fs::read_dir(self.0.path()).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir());
        assert_eq!(left.count(), 0, "{adapter} leaves its scratch folder behind");
        read(&output.stdout, output.status.code().unwrap(), property)
    }

    fn finds(&self, adapter: &str, property: &str, tools: &[(&str, &str)]) -> (Finding, String) {
        let answer = self.ask(adapter, property, tools).unwrap();
        assert_eq!(answer.tool, adapter);
        (answer.finding, answer.cause.unwrap_or_default())
    }
}

const ADAPTERS: [(&str, &str, &str); 5] = [
    ("cbmc", "memory", "CBMC"),
    ("frama-c", "memory", "FRAMA_C"),
    ("seahorn", "memory", "SEAHORN"),
    ("t2", "termination", "T2"),
    ("prevail", "memory", "PREVAIL"),
];

#[test]
fn missing_tool_is_an_error_and_says_so() {
    for (adapter, property, variable) in ADAPTERS {
        let (finding, cause) = Place::new().finds(adapter, property, &[(variable, "not-there")]);
        assert_eq!(finding, Finding::Error, "{adapter}");
        assert!(cause.ends_with("not-there is not installed"), "{adapter}: {cause}");
    }
}

#[test]
fn tool_that_says_nothing_or_crashes_proves_nothing() {
    for (adapter, property, variable) in ADAPTERS {
        for status in [0, 1, 10, 77] {
            let place = Place::new().tool("tool", "", status);
            let others = [(variable, "tool"), ("LLVM2KITTEL", "tool"), ("T2_CLANG", "tool")];
            let (finding, _) = place.finds(adapter, property, &others);
            assert!(
                matches!(finding, Finding::Error | Finding::Inconclusive),
                "{adapter} {status}: {finding:?}"
            );
        }
        let place = Place::new().script("tool", "kill -SEGV $$\n");
        let others = [(variable, "tool"), ("LLVM2KITTEL", "tool"), ("T2_CLANG", "tool")];
        let (finding, cause) = place.finds(adapter, property, &others);
        assert_eq!(finding, Finding::Error, "{adapter}: {cause}");
    }
}

#[test]
fn property_that_a_tool_does_not_decide_is_an_error() {
    for (adapter, _, variable) in ADAPTERS {
        let place = Place::new().tool("tool", "VERIFICATION SUCCESSFUL\n", 0);
        assert_eq!(place.finds(adapter, "effects", &[(variable, "tool")]).0, Finding::Error, "{adapter}");
    }
}

#[test]
fn empty_source_is_an_error() {
    for (adapter, property, variable) in ADAPTERS {
        let place = Place::new().tool("tool", "VERIFICATION SUCCESSFUL\n1,0.1,100\nunsat\n", 0);
        fs::write(place.path("a.c"), "").unwrap();
        assert_eq!(place.finds(adapter, property, &[(variable, "tool")]).0, Finding::Error, "{adapter}");
    }
}

#[test]
fn tool_that_takes_too_long_is_ended() {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/verifiers/cbmc"));
    let place = Place::new().script("tool", "exec tail -f /dev/null\n");
    command
        .args(["--property", "memory", "--entry", "entry", "--timeout", "1"])
        .env("CBMC", place.path("tool"));
    command.arg("--source").arg(place.path("a.c")).arg("--object").arg(place.path("a.o"));
    let output = command.output().unwrap();
    let answer = read(&output.stdout, output.status.code().unwrap(), "memory").unwrap();
    assert_eq!(answer.finding, Finding::Inconclusive);
    assert_eq!(answer.bounds["seconds"], 1);
}

#[test]
fn cbmc_is_believed_by_its_last_word_and_its_status() {
    let check = |words: &str, status, expect| {
        let (finding, cause) =
            Place::new().tool("tool", words, status).finds("cbmc", "memory", &[("CBMC", "tool")]);
        assert_eq!(finding, expect, "{words} {status}: {cause}");
        cause
    };
    let assertion = "[entry.array_bounds.1] line 3 array 'a' upper bound in a[i]: FAILURE\n";
    let unwinding = "[entry.unwind.0] line 2 unwinding assertion loop 0: FAILURE\n";
    check("VERIFICATION SUCCESSFUL\n", 0, Finding::Proved);
    check("VERIFICATION SUCCESSFUL\n", 1, Finding::Error);
    check("printed by the source: VERIFICATION SUCCESSFUL\n", 0, Finding::Error);
    check("VERIFICATION SUCCESSFUL\nVERIFICATION FAILED\n", 0, Finding::Error);
    let cause = check(&format!("{unwinding}{assertion}VERIFICATION FAILED\n"), 10, Finding::Refuted);
    assert!(cause.contains("upper bound"), "{cause}");
    let cause = check(&format!("{unwinding}VERIFICATION FAILED\n"), 10, Finding::Inconclusive);
    assert_eq!(cause, "a loop may run more than 32 times");
    check("VERIFICATION FAILED\n", 10, Finding::Error);
}

#[test]
fn seahorn_is_believed_by_a_whole_line() {
    let check = |words: &str, expect| {
        let (finding, cause) =
            Place::new().tool("tool", words, 0).finds("seahorn", "memory", &[("SEAHORN", "tool")]);
        assert_eq!(finding, expect, "{words}: {cause}");
    };
    check("some progress\nunsat\n", Finding::Proved);
    check("sat\n", Finding::Refuted);
    check("sat\nunsat\n", Finding::Error);
    // The prototype took these for success.
    check("cannot handle unsat cores\n", Finding::Inconclusive);
    check("warning: --depth 512 reached, unsat so far\n", Finding::Inconclusive);
}

#[test]
fn t2_is_believed_by_a_whole_line() {
    let check = |words: &str, expect| {
        let place = Place::new().tool("tool", words, 0);
        let tools = [("T2", "tool"), ("LLVM2KITTEL", "tool"), ("T2_CLANG", "tool")];
        let (finding, cause) = place.finds("t2", "termination", &tools);
        assert_eq!(finding, expect, "{words}: {cause}");
    };
    check("Termination proof succeeded\n", Finding::Proved);
    check("Nontermination proof succeeded\n", Finding::Refuted);
    check("Termination/nontermination proof failed\n", Finding::Inconclusive);
    check("Termination proof succeeded\nNontermination proof succeeded\n", Finding::Refuted);
    check("No Termination proof succeeded\n", Finding::Error);
}

#[test]
fn prevail_is_believed_by_its_table() {
    let check = |words: &str, status, expect| {
        for property in ["memory", "termination"] {
            let place = Place::new().tool("tool", words, status);
            let (finding, cause) = place.finds("prevail", property, &[("PREVAIL", "tool")]);
            assert_eq!(finding, expect, "{words} {status}: {cause}");
        }
    };
    check("1,0.012,8400\n", 0, Finding::Proved);
    check("1,0.012,8400\n", 1, Finding::Error);
    check("0,0.012,8400\n", 1, Finding::Inconclusive);
    check("0,0.012,8400\n1,0.012,8400\n", 0, Finding::Inconclusive);
    check("unsupported function: get_cnx at 3\n", 1, Finding::Error);
    check("10,0.012,8400\n", 0, Finding::Error);
}

#[test]
fn frama_c_itself_is_asked_where_it_is_installed() {
    if !Path::new("/usr/bin/frama-c").exists() {
        return;
    }
    let check = |source: &str, expect| {
        let place = Place::new();
        fs::write(place.path("a.c"), source).unwrap();
        let (finding, cause) = place.finds("frama-c", "memory", &[]);
        assert_eq!(finding, expect, "{source}: {cause}");
        cause
    };
    check(
        "int entry(void) { int a[4] = {0}; for (int i = 0; i < 4; i++) a[i] = i; return a[3]; }",
        Finding::Proved,
    );
    let over = "int entry(void) { int a[4] = {0}; for (int i = 0; i <= 4; i++) a[i] = i; return a[3]; }";
    assert!(check(over, Finding::Inconclusive).starts_with("a.c:1: i < 4"));
    check("int help(int); int entry(int n) { int a[4] = {0}; return a[help(n)]; }", Finding::Inconclusive);
    check("int entry(void) { return", Finding::Error);
    check("int other(void) { return 0; }", Finding::Error);
}
