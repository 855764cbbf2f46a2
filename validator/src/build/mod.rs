//! Building a plugin's objects from its source, by the validator's own recipe.
//!
//! One compiler process for each object, without a shell, with an environment of our making, in a scratch folder that
//! holds the source tree and is gone afterwards. Nothing of the submission is ever run, its Makefile least of all. What
//! the compiler says is kept to a limit and shows no path of this machine.
//!
//! **Not confined yet**: the compiler runs with the rights of the caller. A source can name a file outside its tree
//! (`#include` through a macro, `.incbin`) and read a part of it back through a diagnostic or the object. Includes that
//! say so plainly are refused here, since that is cheap; the rest is for a sandbox around [`build()`], and until then a
//! build environment says `confined: false`. Time, memory and the size of what is written are limited all the same.

mod failure;
mod process;
mod recipe;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

pub use failure::BuildFailure;
pub use recipe::{BuildEnvironment, Recipe};

use pds_plugin::manifest::source_of;
use pds_plugin::source::SourceTree;
use process::{Bounds, Ended, Run, run};

/// The result of one build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// Every object asked for, by its name.
    pub objects: BTreeMap<String, Vec<u8>>,
    /// What they were built with.
    pub environment: BuildEnvironment,
}

/// Circumstances that must not matter to the objects: builds are repeated in another set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Circumstances {
    /// Coordinated universal time, plain locale.
    Plain,
    /// A time zone far off, another locale, a scratch folder of another depth and name.
    Other,
}

/// Builds `objects` (paths relative to `folder` of the tree, ending in `.o`) from the C files beside them.
///
/// Setting `stop`, from another thread, ends it soon.
///
/// # Errors
/// [`BuildFailure`], of the first object in their order that fails.
pub fn build(
    tree: &SourceTree,
    folder: &str,
    objects: &BTreeSet<&str>,
    recipe: &Recipe,
    circumstances: Circumstances,
    stop: &AtomicBool,
) -> Result<Built, BuildFailure> {
    let sources = find_sources(tree, folder, objects)?;
    refuse_outside_includes(tree)?;
    let scratch =
        Scratch::create(tree, circumstances).map_err(|cause| BuildFailure::Scratch(cause.to_string()))?;
    let environment = BuildEnvironment {
        compiler: compiler_version(&scratch, recipe, stop)?,
        flags: recipe.flags.clone(),
        platform: recipe.platform.clone(),
        confined: false,
    };
    let deadline = Instant::now() + recipe.total_time_limit;
    let mut built = BTreeMap::new();
    let mut total = 0;
    for (object, source) in sources {
        let left = deadline.saturating_duration_since(Instant::now());
        let bytes = compile(&scratch, object, &source, recipe, recipe.time_limit.min(left), stop)?;
        total += bytes.len() as u64;
        if total > recipe.total_object_bytes {
            let limit = recipe.total_object_bytes;
            return Err(BuildFailure::TotalTooLarge { object: object.to_owned(), limit });
        }
        built.insert(object.to_owned(), bytes);
    }
    Ok(Built { objects: built, environment })
}

fn find_sources<'a>(
    tree: &SourceTree,
    folder: &str,
    objects: &BTreeSet<&'a str>,
) -> Result<Vec<(&'a str, String)>, BuildFailure> {
    let mut sources = Vec::new();
    for object in objects {
        let source = source_of(object);
        let path = if folder.is_empty() { source } else { format!("{folder}/{source}") };
        if tree.get(&path).is_none() {
            return Err(BuildFailure::NoSource { object: (*object).to_owned(), path });
        }
        sources.push((*object, path));
    }
    Ok(sources)
}

/// Refuses `#include` and its kin where they plainly name a file outside the tree. Not a barrier: a macro, a line
/// continuation or a comment in the right place hides it.
fn refuse_outside_includes(tree: &SourceTree) -> Result<(), BuildFailure> {
    for (path, content) in tree.files() {
        for (i, line) in content.split(|b| *b == b'\n').enumerate() {
            let Some(target) = include_target(line) else { continue };
            let depth = path.split('/').count() - 1;
            if target.starts_with(b"/") || climbs_out(target, depth) {
                return Err(BuildFailure::OutsideInclude { path: path.to_owned(), line: i + 1 });
            }
        }
    }
    Ok(())
}

/// `x.h` of `#include "x.h"`, and likewise for `include_next`, `import` and `embed`, with quotes or angle brackets.
fn include_target(line: &[u8]) -> Option<&[u8]> {
    let directive = line.trim_ascii_start().strip_prefix(b"#")?.trim_ascii_start();
    let words: [&[u8]; 4] = [b"include_next", b"include", b"import", b"embed"];
    let rest = words.iter().find_map(|word| directive.strip_prefix(*word))?.trim_ascii_start();
    let end = match rest.first()? {
        b'"' => b'"',
        b'<' => b'>',
        _ => return None,
    };
    rest[1..].split(|b| *b == end).next()
}

/// Whether a path with `..` in it leaves the root when taken from `depth` folders below it.
fn climbs_out(path: &[u8], depth: usize) -> bool {
    let mut depth = depth as i64;
    for component in path.split(|b| *b == b'/') {
        match component {
            b".." => depth -= 1,
            b"." | b"" => {}
            _ => depth += 1,
        }
        if depth < 0 {
            return true;
        }
    }
    false
}

/// A temporary folder with the source tree in one part and the compiler's outputs in another.
struct Scratch {
    tree: PathBuf,
    output: PathBuf,
    circumstances: Circumstances,
    /// Removes all of it.
    _folder: tempfile::TempDir,
}

impl Scratch {
    fn create(tree: &SourceTree, circumstances: Circumstances) -> std::io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("pds-build-").tempdir()?;
        let root = folder.path().canonicalize()?;
        let root = match circumstances {
            Circumstances::Plain => root,
            Circumstances::Other => root.join("another/place"),
        };
        let (source, output) = (root.join("tree"), root.join("output"));
        std::fs::create_dir_all(&source)?;
        std::fs::create_dir_all(&output)?;
        for (path, content) in tree.files() {
            let path = source.join(path);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(path, content)?;
        }
        Ok(Self { tree: source, output, circumstances, _folder: folder })
    }

    fn run(
        &self,
        recipe: &Recipe,
        arguments: &[OsString],
        limit: Duration,
        stop: &AtomicBool,
    ) -> Result<Run, BuildFailure> {
        let (zone, locale) = match self.circumstances {
            Circumstances::Plain => ("UTC", "C"),
            Circumstances::Other => ("<+14>-14", "C.UTF-8"),
        };
        let output = self.output.as_os_str();
        let environment: [(&str, &std::ffi::OsStr); 5] = [
            ("PATH", "/usr/bin:/bin".as_ref()),
            ("LC_ALL", locale.as_ref()),
            ("TZ", zone.as_ref()),
            ("HOME", output),
            ("TMPDIR", output),
        ];
        let bounds = Bounds {
            time: limit,
            memory_bytes: recipe.memory_bytes,
            // Room for one byte too many, so that the refusal can name the limit.
            file_bytes: recipe.object_bytes.saturating_mul(2),
            words_bytes: recipe.words_bytes,
        };
        let run = run(&recipe.compiler_file(), arguments, &environment, &self.tree, bounds, stop);
        let mut run = run.map_err(|cause| {
            let compiler = recipe.compiler.display().to_string();
            BuildFailure::NoCompiler { compiler, cause: cause.to_string() }
        })?;
        if run.ended == Ended::Stopped {
            return Err(BuildFailure::Stopped);
        }
        run.words = self.without_paths(&run.words);
        Ok(run)
    }

    /// The compiler's words without the scratch folder, without addresses in the compiler's memory (two validators
    /// should say the same of one source), and without characters that could confuse a terminal.
    fn without_paths(&self, words: &str) -> String {
        let words = words.replace(&format!("{}/", self.tree.display()), "");
        let words = words.replace(&self.tree.display().to_string(), ".");
        let words = words.replace(&self.output.display().to_string(), "<output>");
        let words: String = words.split_inclusive('\n').map(without_addresses).collect();
        words.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
    }
}

/// Where LLVM shows a node of its selection graph, `0x39a0: i64 = sdiv 0x39b8, ...`, addresses become `0x_`.
fn without_addresses(line: &str) -> String {
    if ![": i64 = ", ": i32 = ", ": ch = "].iter().any(|shape| line.contains(shape)) {
        return line.to_owned();
    }
    let mut parts = line.split("0x");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        shown.push_str("0x_");
        shown.push_str(part.trim_start_matches(|c: char| c.is_ascii_hexdigit()));
    }
    shown
}

fn compiler_version(scratch: &Scratch, recipe: &Recipe, stop: &AtomicBool) -> Result<String, BuildFailure> {
    let run = scratch.run(recipe, &["--version".into()], recipe.time_limit, stop)?;
    match (run.ended, run.words.lines().next()) {
        (Ended::Status(0), Some(line)) => Ok(line.to_owned()),
        _ => {
            let compiler = recipe.compiler.display().to_string();
            Err(BuildFailure::NoCompiler { compiler, cause: "it does not tell its version".to_owned() })
        }
    }
}

fn compile(
    scratch: &Scratch,
    object: &str,
    source: &str,
    recipe: &Recipe,
    limit: Duration,
    stop: &AtomicBool,
) -> Result<Vec<u8>, BuildFailure> {
    let output = scratch.output.join("object.o");
    let mut arguments: Vec<OsString> = recipe.flags.iter().map(OsString::from).collect();
    // "./" so that no name can be taken for an option.
    arguments.extend(["-c".into(), format!("./{source}").into(), "-o".into(), output.clone().into()]);
    let Run { ended, words } = scratch.run(recipe, &arguments, limit, stop)?;
    let object = object.to_owned();
    match ended {
        Ended::Status(0) => {}
        Ended::Status(_) => return Err(BuildFailure::Refused { object, words }),
        Ended::Signal(signal) => return Err(BuildFailure::Killed { object, signal, words }),
        Ended::Stopped => return Err(BuildFailure::Stopped),
        Ended::TimedOut => return Err(BuildFailure::TimedOut { object, limit }),
    }
    let size = match std::fs::symlink_metadata(&output) {
        Ok(metadata) if metadata.is_file() && metadata.len() > 0 => metadata.len(),
        _ => return Err(BuildFailure::NoObject { object, words }),
    };
    if size > recipe.object_bytes {
        return Err(BuildFailure::ObjectTooLarge { object, size, limit: recipe.object_bytes });
    }
    let scratch = |cause: std::io::Error| BuildFailure::Scratch(cause.to_string());
    let mut bytes = Vec::new();
    // No more than was looked at, whoever goes on writing.
    std::fs::File::open(&output).and_then(|file| file.take(size).read_to_end(&mut bytes)).map_err(scratch)?;
    // The next object must not be mistaken for this one.
    std::fs::remove_file(&output).map_err(scratch)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_hidden_only_in_dumps_of_the_compiler() {
        let dump = "Cannot select: 0x3c2f690: i64 = sdiv 0x3c2f350, Constant:i64<4>\n";
        assert_eq!(without_addresses(dump), "Cannot select: 0x_: i64 = sdiv 0x_, Constant:i64<4>\n");
        let quoted = "a.c:3:9: error: use of 0x3c2f690\n";
        assert_eq!(without_addresses(quoted), quoted);
    }

    #[test]
    fn includes_that_leave_the_tree_are_refused() {
        let check = |path: &str, content: &str, expect: Option<usize>| {
            let mut tree = SourceTree::default();
            tree.insert(path, content.into()).unwrap();
            let expect = match expect {
                Some(line) => Err(BuildFailure::OutsideInclude { path: path.to_owned(), line }),
                None => Ok(()),
            };
            assert_eq!(refuse_outside_includes(&tree), expect, "{path}: {content}");
        };
        check("a.c", "#include \"/etc/shadow\"", Some(1));
        check("a.c", "int x;\n  #  include </etc/shadow>\n", Some(2));
        check("a.c", "#include_next \"/etc/shadow\"", Some(1));
        check("a.c", "#embed \"/etc/shadow\"", Some(1));
        check("a.c", "#include \"../x.h\"", Some(1));
        check("p/a.c", "#include \"b/../../../x.h\"", Some(1));
        check("p/a.c", "#include \"../x.h\"", None);
        check("a.c", "#include \"x.h\"\n#include <sys/socket.h>\n// see /etc/shadow", None);
    }
}
