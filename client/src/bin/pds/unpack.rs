//! `pds unpack`.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Args as ClapArgs;
use pds_plugin::manifest::Manifest;
use pds_plugin::source::SourceTree;
use pds_schemas::{Artefact, PluginPackage};
use serde_json::json;

use crate::options::read_file;
use crate::outcome::{Failure, Outcome};
use crate::verify::VerifyArgs;

#[derive(ClapArgs)]
#[command(after_help = "Example:
  pds unpack datagram.pds --out ./datagram --trust trust.toml --formula 'PV1 & PV2'

Nothing is written unless the formula is satisfied. The folder must not be there yet.")]
pub struct Args {
    /// The package
    file: PathBuf,
    /// The folder to make
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    how: VerifyArgs,
}

pub fn run(args: Args) -> Result<Outcome, Failure> {
    if args.out.symlink_metadata().is_ok() {
        return Err(Failure::usage(anyhow!("{} is there already: give a new folder", args.out.display())));
    }
    let bytes = read_file(&args.file, PluginPackage::MAX_BYTES)?;
    let package = PluginPackage::from_bytes(&bytes)
        .with_context(|| format!("{} is no package", args.file.display()))
        .map_err(Failure::refused)?;
    let manifest = Manifest::parse(&package.manifest).map_err(Failure::refused)?;
    if let Some(asked) = args.how.name.as_ref().filter(|asked| **asked != manifest.name) {
        return Err(Failure::refused(anyhow!("the package is of {}, asked was {asked}", manifest.name)));
    }
    let mut outcome = args.how.package(&manifest.name, &package)?;
    if outcome.code != 0 {
        return Ok(outcome);
    }
    let tree = tree_of(&package, &manifest).map_err(Failure::refused)?;
    write(&tree, &args.out).map_err(Failure::unknown)?;
    outcome.text += &format!("wrote {} files into {}\n", tree.len(), args.out.display());
    outcome.json["written"] = json!(tree.files().map(|(path, _)| path).collect::<Vec<_>>());
    Ok(outcome)
}

/// The package's files, every path of which stays in its folder.
fn tree_of(package: &PluginPackage, manifest: &Manifest) -> anyhow::Result<SourceTree> {
    let mut tree = SourceTree::default();
    tree.insert(&format!("{}.plugin", manifest.name), package.manifest.clone())?;
    for (path, bytes) in &package.objects {
        let path_error = || anyhow!("object {:?}", path.chars().take(300).collect::<String>());
        tree.insert(path, bytes.clone()).map_err(|cause| anyhow!(cause).context(path_error()))?;
    }
    Ok(tree)
}

/// Writes into a folder that is new, so that no link in it can lead elsewhere.
fn write(tree: &SourceTree, folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir(folder).with_context(|| format!("make the folder {}", folder.display()))?;
    for (path, bytes) in tree.files() {
        let path = folder.join(path);
        let parent = path.parent().context("a file is in a folder")?;
        DirBuilder::new()
            .recursive(true)
            .create(parent)
            .with_context(|| format!("make {}", parent.display()))?;
        let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        file.write_all(bytes).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_is_refused_when_a_path_would_leave_the_folder() {
        let text = "a.b\nheader_parsed pre a.o\n";
        let manifest = Manifest::parse(text.as_bytes()).unwrap();
        let tree = |path: &str| {
            let objects = vec![(path.to_owned(), vec![1])];
            let package = PluginPackage { manifest: text.into(), objects, evidence: Vec::new() };
            tree_of(&package, &manifest)
        };
        assert_eq!(tree("sub/a.o").unwrap().len(), 2);
        for path in ["../a.o", "/a.o", "a/../../b.o", "a\\b.o", "", "a//b.o", "a.b.plugin", "a.b.plugin/x.o"]
        {
            assert!(tree(path).is_err(), "{path}");
        }
    }
}
