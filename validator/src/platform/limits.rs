//! Bounds of the parts of a platform that are taken as they are written.

use super::argument::{number, rule};
use super::error::{PlatformError, Rule};
use super::resolve::{check_name, named, within};
use super::state::{Build, Index, Limits, ManifestRules, Memory};
use super::{MAX_ITEMS, MAX_LINE_BYTES};

/// Most arguments of a compiler of one kind, and most defines.
const MAX_BUILD: usize = 64;

pub(super) fn check(
    build: &Build,
    manifest: &ManifestRules,
    limits: &Limits,
    memory: &Memory,
) -> Result<(), PlatformError> {
    check_build(build)?;
    check_manifest(manifest)?;
    check_limits(limits)?;
    check_memory(memory, manifest)
}

fn check_build(build: &Build) -> Result<(), PlatformError> {
    for (name, list) in [("flags", &build.flags), ("defines", &build.defines), ("headers", &build.headers)] {
        within(&format!("build.{name}"), list.len(), MAX_BUILD)?;
    }
    within("build.allowed_defines", build.allowed_defines.len(), MAX_BUILD)?;
    for (i, flag) in build.flags.iter().enumerate() {
        let plain = flag.bytes().all(|b| b.is_ascii_graphic());
        // `-` alone is standard input, `@FILE` more arguments.
        if !plain || flag.is_empty() || flag == "-" || flag.starts_with('@') || flag.len() > MAX_LINE_BYTES {
            return Err(rule(&format!("build.flags.{i}"), Rule::CompilerArgument(shortened(flag))));
        }
    }
    for (i, define) in build.defines.iter().enumerate() {
        let key = format!("build.defines.{i}");
        let (name, value) = define.split_once('=').unwrap_or((define, ""));
        check_name(&key, name)?;
        if !value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') || value.len() > 128 {
            return Err(rule(&key, Rule::CompilerArgument(shortened(define))));
        }
    }
    for define in &build.allowed_defines {
        check_name("build.allowed_defines", define)?;
    }
    for (i, folder) in build.headers.iter().enumerate() {
        let key = format!("build.headers.{i}");
        let plain = |part: &str| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-+.".contains(&b);
            !["", ".", ".."].contains(&part) && !part.starts_with('-') && part.bytes().all(plain)
        };
        if folder.len() > 250 || !folder.split('/').all(plain) {
            return Err(rule(&key, Rule::Path(shortened(folder))));
        }
    }
    Ok(())
}

fn check_manifest(manifest: &ManifestRules) -> Result<(), PlatformError> {
    named("manifest.anchors", &manifest.anchors, |_, _| Ok(()))?;
    number("manifest.anchors", manifest.anchors.len() as i64, 1, MAX_ITEMS as i64)?;
    within("manifest.options", manifest.options.len(), MAX_ITEMS)?;
    for option in &manifest.options {
        check_name("manifest.options", option)?;
    }
    number("manifest.operation_bytes", manifest.operation_bytes.into(), 1, 128)?;
    number("manifest.name_bytes", manifest.name_bytes.into(), 3, 250)?;
    number("manifest.parameter_max", manifest.parameter_max.into(), 0, u16::MAX.into())
}

fn check_limits(limits: &Limits) -> Result<(), PlatformError> {
    let check = |name: &str, found: u32, least: i64, most: i64| {
        number(&format!("limits.{name}"), found.into(), least, most)
    };
    check("object_bytes", limits.object_bytes, 64, 16 << 20)?;
    check("sections", limits.sections, 2, 65_279)?;
    check("checked_slots", limits.checked_slots, 1, 1 << 20)?;
    check("checked_accesses", limits.checked_accesses, 0, 1 << 20)?;
    check("slots_per_check", limits.slots_per_check, 0, 256)?;
    check("machine_code_bytes", limits.machine_code_bytes, 0, 1 << 30)?;
    check("machine_code_bytes_per_check", limits.machine_code_bytes_per_check, 0, 4096)?;
    // Offsets of loads and stores have 16 bits with a sign.
    check("stack_bytes", limits.stack_bytes.into(), 8, 32_768)?;
    if !limits.stack_bytes.is_multiple_of(8) {
        return Err(rule("limits.stack_bytes", Rule::Misplaced("a number that is no multiple of 8")));
    }
    check("operation_values", limits.operation_values.into(), 0, 64)?;
    check("plugins", limits.plugins, 1, 1 << 16)?;
    check("plugin_bytes", limits.plugin_bytes, 1, 1 << 30)
}

fn check_memory(memory: &Memory, manifest: &ManifestRules) -> Result<(), PlatformError> {
    let bytes = i64::try_from(memory.heap_bytes).unwrap_or(i64::MAX);
    number("memory.heap_bytes", bytes, 0, 1 << 40)?;
    number("memory.block_header_bytes", memory.block_header_bytes.into(), 0, 4096)?;
    named("memory.allocators", &memory.allocators, |key, allocator| {
        for (name, value) in [("block_bytes", allocator.block_bytes), ("blocks", allocator.blocks)] {
            value.map_or(Ok(()), |value| number(&format!("{key}.{name}"), value.into(), 1, bytes))?;
        }
        number(&format!("{key}.alignment"), allocator.alignment.into(), 1, 4096)?;
        let known = allocator.option.as_ref().is_none_or(|option| manifest.options.contains(option));
        if known && allocator.alignment.is_power_of_two() {
            return Ok(());
        }
        Err(rule(key, Rule::Misplaced("an unknown option, or an alignment that is no power of two")))
    })?;
    let plain = memory.allocators.values().filter(|allocator| allocator.option.is_none()).count();
    if memory.allocators.is_empty() || plain == 1 {
        Ok(())
    } else {
        Err(rule("memory.allocators", Rule::ExactlyOne("the allocators without an option")))
    }
}

pub(super) fn check_index(key: &str, index: &Index) -> Result<(), PlatformError> {
    named(&format!("{key}.values"), &index.values, |key, value| {
        number(key, (*value).into(), 0, index.max.into())
    })?;
    Ok(())
}

/// Enough of a text to find it.
fn shortened(text: &str) -> String {
    text.chars().take(128).collect()
}
