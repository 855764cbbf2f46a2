//! Which nodes a page has, derived from what its 16 slots hold.
//!
//! Pure bit arithmetic. A page is four levels of a binary tree; its nodes are numbered as in a heap: 1 is the topmost,
//! the children of `n` are `2n` and `2n + 1`, and 16 to 31 are the slots. A leaf is kept in the slot of its nibble
//! though its node may be higher up: the shallowest below which no other slot is occupied, but never the topmost.

/// What kind of thing each slot of a page holds, one bit a slot, slot 0 in the least significant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Shape {
    pub leaves: u16,
    pub subtrees: u16,
}

/// What one node of a page is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Node {
    Missing,
    /// The leaf kept in this slot.
    Leaf(usize),
    /// The topmost node of the page below this slot.
    Subtree(usize),
    Parent,
}

impl Shape {
    pub fn node(self, n: usize) -> Node {
        let below = self.occupied() & slots_below(n);
        if below == 0 {
            return Node::Missing;
        }
        let first = below.trailing_zeros() as usize;
        if n > 1 && below.is_power_of_two() && self.leaves & below != 0 {
            Node::Leaf(first)
        } else if n >= 16 {
            Node::Subtree(first)
        } else {
            Node::Parent
        }
    }

    pub fn occupied(self) -> u16 {
        self.leaves | self.subtrees
    }

    /// The slots that hold something, in order.
    pub fn slots(self) -> impl Iterator<Item = usize> {
        let mut rest = self.occupied();
        std::iter::from_fn(move || {
            let slot = rest.trailing_zeros() as usize;
            (rest != 0).then(|| {
                rest &= rest - 1;
                slot
            })
        })
    }

    /// Makes `slot` hold a leaf, whatever it held.
    pub fn put_leaf(&mut self, slot: usize) {
        self.leaves |= 1 << slot;
        self.subtrees &= !(1 << slot);
    }

    /// Makes `slot` hold a subtree, whatever it held.
    pub fn put_subtree(&mut self, slot: usize) {
        self.subtrees |= 1 << slot;
        self.leaves &= !(1 << slot);
    }

    /// Whether two leaves would sit at depth 256 if this were the shape of a page at depth 252.
    pub fn has_leaf_pair(self) -> bool {
        self.leaves & (self.leaves >> 1) & 0x5555 != 0
    }

    /// Place of slot `nibble`'s value among the page's leaves, or subtrees, given their mask.
    pub fn rank(mask: u16, nibble: usize) -> usize {
        (mask & ((1 << nibble) - 1)).count_ones() as usize
    }
}

/// Level of node `n` in its page: 0 for the topmost, 4 for the slots.
pub(super) fn level(n: usize) -> usize {
    n.ilog2() as usize
}

/// The slots below node `n`, one bit each; a slot is below itself.
pub(super) fn slots_below(n: usize) -> u16 {
    SLOTS_BELOW[n]
}

const SLOTS_BELOW: [u16; 32] = {
    let mut slots = [0; 32];
    let mut n = 1usize;
    while n < 32 {
        let width = 16 >> n.ilog2();
        slots[n] = ((((1u32 << width) - 1) << (n * width - 16)) & 0xffff) as u16;
        n += 1;
    }
    slots
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_below_halve_with_every_level() {
        let check = |n, expect| assert_eq!(slots_below(n), expect, "{n}");
        check(1, 0xffff);
        check(2, 0x00ff);
        check(3, 0xff00);
        check(7, 0xf000);
        check(8, 0x0003);
        check(16, 0x0001);
        check(31, 0x8000);
    }

    #[test]
    fn leaf_sits_at_the_shallowest_node_of_its_own() {
        let shape = Shape { leaves: 0b1000_0000_0000_0011, subtrees: 0b0001_0000_0000_0000 };
        let check = |n, expect| assert_eq!(shape.node(n), expect, "{n}");
        check(1, Node::Parent);
        check(2, Node::Parent);
        check(4, Node::Parent);
        check(8, Node::Parent);
        check(16, Node::Leaf(0));
        check(17, Node::Leaf(1));
        check(5, Node::Missing);
        check(3, Node::Parent);
        check(6, Node::Missing);
        check(7, Node::Parent);
        check(14, Node::Parent);
        check(28, Node::Subtree(12));
        check(29, Node::Missing);
        check(15, Node::Leaf(15));
    }

    #[test]
    fn lone_leaf_is_not_the_topmost_node() {
        let shape = Shape { leaves: 1 << 9, subtrees: 0 };
        assert_eq!(shape.node(1), Node::Parent);
        assert_eq!(shape.node(2), Node::Missing);
        assert_eq!(shape.node(3), Node::Leaf(9));
    }
}
