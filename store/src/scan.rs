//! Reading a family in the order of its keys.

use rocksdb::{DBRawIterator, ReadOptions};

use crate::{DatabaseError, Family, Store, StoreError};

/// A key and its value, borrowed from the cursor.
pub(crate) type Item<'a> = (&'a [u8], &'a [u8]);

/// A key and its value.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

/// A cursor. What it stands on is of one moment, whatever is written meanwhile.
pub(crate) struct Scan<'a> {
    family: Family,
    cursor: DBRawIterator<'a>,
}

impl Store {
    /// A cursor on the first key that is `from` or above.
    pub(crate) fn scan(&self, family: Family, from: &[u8]) -> Scan<'_> {
        let mut options = ReadOptions::default();
        // What is read once from end to end would push out what is read often.
        options.fill_cache(false);
        let mut cursor = self.db.raw_iterator_cf_opt(self.family(family), options);
        cursor.seek(from);
        Scan { family, cursor }
    }
}

impl Scan<'_> {
    /// What the cursor stands on; `None` behind the last key.
    pub fn current(&self) -> Result<Option<Item<'_>>, DatabaseError> {
        match self.cursor.item() {
            Some(item) => Ok(Some(item)),
            None => self.cursor.status().map(|()| None).map_err(DatabaseError::from),
        }
    }

    /// As [`Scan::current`], with an error that says what was read.
    pub fn item(&self) -> Result<Option<Item<'_>>, StoreError> {
        self.current().map_err(|source| StoreError::Database {
            doing: format!("read {} in order", self.family),
            source,
        })
    }

    /// Whether the cursor stands on this key.
    pub fn is_at(&self, key: &[u8]) -> bool {
        self.cursor.key() == Some(key)
    }

    pub fn advance(&mut self) {
        if self.cursor.valid() {
            self.cursor.next();
        }
    }

    pub fn seek(&mut self, key: &[u8]) {
        self.cursor.seek(key);
    }

    /// The current key and value, after which the cursor moves on.
    pub fn take(&mut self) -> Result<Option<Pair>, StoreError> {
        let taken = self.item()?.map(|(key, value)| (key.to_vec(), value.to_vec()));
        self.advance();
        Ok(taken)
    }
}
