//! A CBOR tree that can also be written wrongly: how the refused vectors are made.
//!
//! Reads only what our encoder writes. Not the codec under test, and shares nothing with it.

/// One CBOR item.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    Uint(u64),
    Negative(u64),
    Bytes(Vec<u8>),
    Text(Vec<u8>),
    Array(Vec<Node>),
    Map(Vec<(Node, Node)>),
    Tag(u64, Box<Node>),
    /// Bytes as they stand: simple values, and whatever is not CBOR at all.
    Raw(Vec<u8>),
    /// The node with its head's argument in so many bytes: 1, 2, 4 or 8.
    Wide(usize, Box<Node>),
    /// A string in one chunk, an array or a map, of indefinite length.
    Indefinite(Box<Node>),
}

use Node::*;

pub const NULL: u8 = 0xf6;

pub fn text(value: &str) -> Node {
    Text(value.as_bytes().to_vec())
}

pub fn digest(byte: u8) -> Node {
    Bytes(vec![byte; 32])
}

fn head(major: u8, value: u64, width: usize) -> Vec<u8> {
    let width = match value {
        _ if width > 0 => width,
        0..24 => return vec![major << 5 | value as u8],
        24..0x100 => 1,
        0x100..0x1_0000 => 2,
        0x1_0000..0x1_0000_0000 => 4,
        _ => 8,
    };
    let mut out = vec![major << 5 | (24 + width.trailing_zeros() as u8)];
    out.extend_from_slice(&value.to_be_bytes()[8 - width..]);
    out
}

impl Node {
    pub fn to_bytes(&self) -> Vec<u8> {
        self.write(0)
    }

    fn write(&self, width: usize) -> Vec<u8> {
        let (major, argument) = match self {
            Uint(n) => (0, *n),
            Negative(n) => (1, *n),
            Bytes(b) => (2, b.len() as u64),
            Text(t) => (3, t.len() as u64),
            Array(items) => (4, items.len() as u64),
            Map(pairs) => (5, pairs.len() as u64),
            Tag(number, _) => (6, *number),
            Raw(bytes) => return bytes.clone(),
            Wide(width, node) => return node.write(*width),
            Indefinite(node) => return node.write_indefinite(),
        };
        [head(major, argument, width), self.content()].concat()
    }

    fn write_indefinite(&self) -> Vec<u8> {
        let initial = match self {
            Bytes(_) => 0x5f,
            Text(_) => 0x7f,
            Array(_) => 0x9f,
            Map(_) => 0xbf,
            _ => panic!("only strings, arrays and maps have indefinite lengths"),
        };
        let content = if matches!(self, Bytes(_) | Text(_)) { self.to_bytes() } else { self.content() };
        [vec![initial], content, vec![0xff]].concat()
    }

    fn content(&self) -> Vec<u8> {
        match self {
            Bytes(b) | Text(b) => b.clone(),
            Array(items) => items.iter().flat_map(Self::to_bytes).collect(),
            Map(pairs) => pairs.iter().flat_map(|(k, v)| [k.to_bytes(), v.to_bytes()].concat()).collect(),
            Tag(_, inner) => inner.to_bytes(),
            _ => Vec::new(),
        }
    }

    /// The item that `bytes`, as our encoder writes them, are.
    pub fn parse(mut bytes: &[u8]) -> Self {
        let node = Self::read(&mut bytes);
        assert!(bytes.is_empty(), "bytes follow the item");
        node
    }

    fn read(input: &mut &[u8]) -> Self {
        let initial = input[0];
        *input = &input[1..];
        let follow = match initial & 31 {
            0..24 => 0,
            code => 1 << (code - 24),
        };
        let mut argument = if follow == 0 { u64::from(initial & 31) } else { 0 };
        for byte in take(input, follow) {
            argument = argument << 8 | u64::from(byte);
        }
        match initial >> 5 {
            0 => Uint(argument),
            1 => Negative(argument),
            2 => Bytes(take(input, argument as usize)),
            3 => Text(take(input, argument as usize)),
            4 => Array((0..argument).map(|_| Self::read(input)).collect()),
            5 => Map((0..argument).map(|_| (Self::read(input), Self::read(input))).collect()),
            6 => Tag(argument, Box::new(Self::read(input))),
            _ => Raw(vec![initial]),
        }
    }

    /// The node at the end of `path`: integer keys of maps with such keys, places in other maps and in arrays.
    pub fn at(&mut self, path: &[u64]) -> &mut Self {
        let Some((step, rest)) = path.split_first() else { return self };
        let child = match self {
            Array(items) => &mut items[*step as usize],
            Map(pairs) => {
                let keyed = matches!(pairs[0].0, Uint(_));
                let place = pairs.iter().position(|(key, _)| *key == Uint(*step));
                let place = if keyed { place.expect("the map has the key") } else { *step as usize };
                &mut pairs[place].1
            }
            Tag(_, inner) => inner,
            _ => panic!("there is no step {step} into this node"),
        };
        child.at(rest)
    }

    pub fn pairs(&mut self) -> &mut Vec<(Self, Self)> {
        match self {
            Map(pairs) => pairs,
            other => panic!("a map is expected: {other:?}"),
        }
    }

    pub fn items(&mut self) -> &mut Vec<Self> {
        match self {
            Array(items) => items,
            other => panic!("an array is expected: {other:?}"),
        }
    }

    /// Adds a pair in the place where its key belongs among integer keys.
    pub fn insert(&mut self, key: u64, value: Self) {
        let pairs = self.pairs();
        let place = pairs.iter().position(|(k, _)| matches!(k, Uint(n) if *n > key)).unwrap_or(pairs.len());
        pairs.insert(place, (Uint(key), value));
    }

    pub fn remove(&mut self, key: u64) {
        let pairs = self.pairs();
        let before = pairs.len();
        pairs.retain(|(k, _)| *k != Uint(key));
        assert!(pairs.len() < before, "the map has key {key}");
    }

    /// Every other way to write the item that is one change of one node: a wider head, an indefinite length, pairs of a
    /// map swapped, doubled.
    pub fn other_encodings(&self) -> Vec<Vec<u8>> {
        self.variants().iter().map(Self::to_bytes).collect()
    }

    fn variants(&self) -> Vec<Self> {
        let mut out: Vec<Self> = Vec::new();
        if !matches!(self, Raw(_)) {
            let wider = |width| self.write(width).len() > self.to_bytes().len();
            out.extend(
                [1, 2, 4, 8].into_iter().filter(|w| wider(*w)).map(|w| Wide(w, Box::new(self.clone()))),
            );
        }
        if matches!(self, Bytes(_) | Text(_) | Array(_) | Map(_)) {
            out.push(Indefinite(Box::new(self.clone())));
        }
        match self {
            Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    out.extend(item.variants().into_iter().map(|v| {
                        let mut items = items.clone();
                        items[i] = v;
                        Array(items)
                    }));
                }
            }
            Map(pairs) => out.extend(map_variants(pairs)),
            Tag(number, inner) => {
                out.extend(inner.variants().into_iter().map(|v| Tag(*number, Box::new(v))));
            }
            _ => {}
        }
        out
    }
}

fn map_variants(pairs: &[(Node, Node)]) -> Vec<Node> {
    let mut out = Vec::new();
    for (i, (key, value)) in pairs.iter().enumerate() {
        let mut with = |pair| {
            let mut pairs = pairs.to_vec();
            pairs[i] = pair;
            out.push(Map(pairs));
        };
        key.variants().into_iter().for_each(|k| with((k, value.clone())));
        value.variants().into_iter().for_each(|v| with((key.clone(), v)));
        let mut doubled = pairs.to_vec();
        doubled.insert(i, pairs[i].clone());
        out.push(Map(doubled));
        if i > 0 {
            let mut swapped = pairs.to_vec();
            swapped.swap(i - 1, i);
            out.push(Map(swapped));
        }
    }
    out
}

fn take(input: &mut &[u8], len: usize) -> Vec<u8> {
    let (taken, rest) = input.split_at(len);
    *input = rest;
    taken.to_vec()
}
