//! The pages that a page names.
//!
//! Pure. For those who check stored pages one by one: a page's hash covers the hashes of the pages below it, but not the
//! epochs in which they are looked up. [`super::recompute_root`] checks those within one epoch; the others follow from
//! comparing a page's links with those of the page it replaced.

use pds_schemas::Digest;

use super::encoding::{PageError, check_shape, read_slots};
use super::id::PageId;
use super::nodes::Nodes;
use super::page::Slot;
use super::shape::Shape;

/// What a page says of itself and of the pages below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageLinks {
    /// Hash of the page's topmost node.
    pub hash: Digest,
    /// The pages it names, in the order of its slots, each with its topmost node's hash.
    pub below: Vec<(PageId, Digest)>,
}

/// The links of the page that `bytes` hold under the name `id`. Makes no page in memory, only its hashes.
///
/// # Errors
/// [`PageError`].
pub fn page_links(id: &PageId, bytes: &[u8]) -> Result<PageLinks, PageError> {
    let slots = read_slots(id, bytes)?;
    let (mut shape, mut nodes) = (Shape::default(), Nodes::unknown());
    for (slot, held) in &slots {
        match held {
            Slot::Leaf(_) => shape.put_leaf(*slot),
            Slot::Subtree(_) => shape.put_subtree(*slot),
        }
    }
    check_shape(id, shape)?;
    nodes.set_slots(&slots);
    let link = |(slot, held): &(usize, Slot)| match held {
        Slot::Leaf(_) => None,
        Slot::Subtree(subtree) => Some((id.child(subtree.epoch, *slot), subtree.hash)),
    };
    let below = slots.iter().filter_map(link).collect();
    Ok(PageLinks { hash: nodes.climb(shape, shape.occupied()), below })
}

#[cfg(test)]
mod tests {
    use pds_schemas::EpochNumber;

    use super::*;
    use crate::prefix::{MemoryPages, PrefixTree, Update, recompute_root};

    fn update(first: u8, rest: u8, old: Option<Digest>) -> Update {
        let mut key = Digest([rest; 32]);
        key.0[0] = first;
        Update { key, old, new: Digest([rest + 1; 32]) }
    }

    #[test]
    fn links_name_pages_of_this_epoch_and_of_earlier_ones() {
        let mut pages = MemoryPages::default();
        let updates =
            [update(0x10, 0, None), update(0x11, 1, None), update(0x20, 2, None), update(0x21, 3, None)];
        let first = PrefixTree::empty().apply_updates(&pages, EpochNumber(4), &updates).unwrap();
        pages.extend(first.pages.clone());
        let second = [Update { new: Digest([9; 32]), ..update(0x20, 2, Some(Digest([3; 32]))) }];
        let second = first.tree.apply_updates(&pages, EpochNumber(7), &second).unwrap();

        let (id, top) = &second.pages[0];
        let links = page_links(id, top).unwrap();
        assert_eq!(links.hash, recompute_root(EpochNumber(7), second.pages.iter().cloned()).unwrap());
        let epochs: Vec<_> =
            links.below.iter().map(|(id, _)| (id.epoch().0, id.depth(), id.prefix().0[0])).collect();
        assert_eq!(epochs, [(4, 4, 0x10), (7, 4, 0x20)]);
        for (id, hash) in links.below {
            pages.extend(second.pages.clone());
            assert_eq!(page_links(&id, &pages.0[&id]).unwrap().hash, hash);
        }
    }
}
