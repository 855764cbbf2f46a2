//! The pages that each epoch wrote: whole, under its root, and linked to the right pages of earlier epochs.

use std::collections::HashMap;
use std::iter;

use pds_core::prefix::{PageId, PageLinks, RecomputeError, page_links, recompute_root};
use pds_schemas::{Digest, EpochNumber};

use super::lane::Lane;
use super::{Checker, Problem};
use crate::{Damage, Family, Place};

/// What the STRs say about an epoch's tree; `None` where an entry is damaged.
pub(super) struct Expected {
    /// Its root.
    pub root: Option<Digest>,
    /// Root of the tree before, and the epoch that wrote its top page.
    pub before: Option<(Digest, Option<EpochNumber>)>,
}

/// Follows two trees at once: each new page, and the page it replaces.
///
/// A page's hash does not cover the epochs under which the pages below it are looked up. But whatever a new page names of
/// earlier epochs, the page it replaces named too; by induction over the epochs, all of it is there.
struct Replaced {
    epoch: EpochNumber,
    /// New pages that are named and not yet seen, each with the page it replaces, if there is one. A page that is not in
    /// here is one of which nothing can be said.
    by: HashMap<PageId, Option<PageId>>,
    /// The tree's root, if it is known.
    root: Option<Digest>,
}

impl Checker<'_> {
    pub(super) fn check_pages(&mut self, epoch: EpochNumber, lane: &mut Lane<'_>, expected: Expected) {
        let (Ok(prefix), Ok(root_id)) = (PageId::key_prefix(epoch), PageId::new(epoch, 0, Digest::ZERO))
        else {
            let place = Family::Entries.at(epoch.0.to_be_bytes());
            return self.add(place, Problem::Rule("its epoch has more than the 32 bits that page keys have"));
        };
        let changed = expected.root.zip(expected.before).map(|(root, (before, _))| root != before);
        let mut replaced = Replaced::new(root_id, &expected);
        let mut seen = 0;
        let mut pages = iter::from_fn(|| {
            loop {
                let (key, bytes) = lane.take_within(&prefix, self)?;
                seen += 1;
                match PageId::from_key(&key) {
                    Ok(id) => {
                        replaced.check(&id, &bytes, self);
                        return Some((id, bytes));
                    }
                    Err(_) => self.add(Family::Pages.at(key), Problem::Key),
                }
            }
        });
        let recomputed = recompute_root(epoch, &mut pages);
        // The pass goes on after a finding.
        pages.by_ref().for_each(drop);
        self.counts.pages += seen;
        let place = || place_of(&root_id);
        match (recomputed, changed) {
            (Ok(_), Some(false)) => {
                self.add(place(), Problem::Rule("its epoch changed nothing and has no pages"));
            }
            // The root was compared when its page was read.
            (Ok(_), _) => {}
            (Err(RecomputeError::NoPages(_)), Some(true)) => self.add(place(), Damage::Missing),
            // Reported as soon as it was read, or no damage.
            (Err(RecomputeError::NoPages(_) | RecomputeError::Malformed { .. }), _) => {}
            (Err(error), _) => {
                let id = match &error {
                    RecomputeError::Missing(id) | RecomputeError::Unreachable(id) => *id,
                    RecomputeError::Corrupt { id, .. } => *id,
                    _ => root_id,
                };
                self.add(place_of(&id), error);
            }
        }
    }
}

impl Replaced {
    fn new(root: PageId, expected: &Expected) -> Self {
        let top = expected.before.map(|(_, page_epoch)| {
            let old = page_epoch.and_then(|epoch| PageId::new(epoch, 0, Digest::ZERO).ok());
            (root, old)
        });
        Self { epoch: root.epoch(), by: top.into_iter().collect(), root: expected.root }
    }

    fn check(&mut self, id: &PageId, bytes: &[u8], checker: &mut Checker<'_>) {
        let PageLinks { hash, below } = match page_links(id, bytes) {
            Ok(links) => links,
            Err(error) => return checker.add(place_of(id), error),
        };
        // Below the root, pages are compared with what their parents name by `recompute_root`.
        let same = id.depth() > 0 || self.root.is_none_or(|root| root == hash);
        checker.require(same, || place_of(id), "does not have the root that the STR names");
        let Some(old) = self.by.remove(id) else { return };
        let Some(old_below) = old.map_or(Some(Vec::new()), |old| links_of(&old, checker)) else { return };
        for (child, hash) in below {
            let same_place =
                |old: &&(PageId, Digest)| (old.0.depth(), old.0.prefix()) == (child.depth(), child.prefix());
            let before = old_below.iter().find(same_place);
            if child.epoch() == self.epoch {
                self.by.insert(child, before.map(|(id, _)| *id));
            } else if before != Some(&(child, hash)) {
                let rule = "names a page of an earlier epoch that the tree before does not have there";
                checker.add(place_of(id), Problem::Rule(rule));
            }
        }
    }
}

/// What an earlier page names; `None` if it cannot be told, which was reported with its epoch.
fn links_of(id: &PageId, checker: &Checker<'_>) -> Option<Vec<(PageId, Digest)>> {
    let bytes = checker.store.get(Family::Pages, &id.to_key()).ok()??;
    page_links(id, &bytes).ok().map(|links| links.below)
}

fn place_of(id: &PageId) -> Place {
    Family::Pages.at(id.to_key())
}
