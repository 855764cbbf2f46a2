//! Reading ahead: what applying updates will need of the pages in memory, fetched for all of them at once.
//!
//! Pure, and changes nothing but what the processor's caches hold. Pages of a large tree lie anywhere in memory; whoever
//! follows one path after the other waits for each page in turn, a few hundred cycles every time. Going down all paths
//! together, level by level, the processor waits for many at once.

use std::hint::black_box;
use std::sync::Arc;

use super::id::nibble;
use super::page::{Page, Subtree};
use super::update::Update;

/// Most updates to read ahead for: the pages of more would push each other out of the caches.
const MOST: usize = 4096;

/// Reads the pages in memory on the paths of `updates`, which are sorted.
pub(super) fn read_ahead(top: &Subtree, updates: &[Update]) {
    let Some(root) = top.page.get().filter(|_| updates.len() <= MOST) else { return };
    let mut paths: Vec<(&Page, &Update)> = updates.iter().map(|update| (&**root, update)).collect();
    for depth in (0..=u8::MAX).step_by(4) {
        let mut last = None;
        paths.retain_mut(|(page, update)| {
            let subtree = page.subtree(nibble(&update.key, depth));
            let Some(below) = subtree.and_then(|subtree| subtree.page.get()) else { return false };
            *page = below;
            if last.replace(Arc::as_ptr(below)) != Some(Arc::as_ptr(below)) {
                black_box(touch(below));
            }
            true
        });
        if paths.is_empty() {
            return;
        }
    }
}

/// Reads from every cache line that a copy of the page will: its own, and those in which the pages below are counted.
fn touch(page: &Page) -> usize {
    let below = page.subtrees.iter().filter_map(|subtree| subtree.page.get().map(Arc::strong_count));
    let leaves = page.leaves.iter().map(|leaf| usize::from(leaf.key.0[0]));
    let hashes = page.hashes().iter().step_by(2).map(|hash| usize::from(hash.0[0]));
    below.chain(leaves).chain(hashes).fold(0, usize::wrapping_add)
}
