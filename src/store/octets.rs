//! Numbers and texts as octets and back. Numbers are little-endian; a text has its length in front of it.
//! Reading never trusts a length: nothing is set aside for octets that are not there.

/// Appends numbers and texts.
pub(super) trait Put {
    /// One octet.
    fn put_u8(&mut self, number: u8);
    /// Two octets.
    fn put_u16(&mut self, number: u16);
    /// Four octets.
    fn put_u32(&mut self, number: u32);
    /// Eight octets.
    fn put_u64(&mut self, number: u64);
    /// A length, which fits in 32 bits wherever something is stored.
    fn put_len(&mut self, length: usize);
    /// Octets behind their length.
    fn put_text(&mut self, text: &[u8]);
    /// The same where there may be none, which is not the same as an empty one.
    fn put_maybe(&mut self, text: Option<&[u8]>);
}

/// Stands for the length of a text that is not there.
const ABSENT: u32 = u32::MAX;

impl Put for Vec<u8> {
    fn put_u8(&mut self, number: u8) {
        self.push(number);
    }

    fn put_u16(&mut self, number: u16) {
        self.extend_from_slice(&number.to_le_bytes());
    }

    fn put_u32(&mut self, number: u32) {
        self.extend_from_slice(&number.to_le_bytes());
    }

    fn put_u64(&mut self, number: u64) {
        self.extend_from_slice(&number.to_le_bytes());
    }

    fn put_len(&mut self, length: usize) {
        self.put_u32(u32::try_from(length).expect("nothing stored is as large as 4 GiB"));
    }

    fn put_text(&mut self, text: &[u8]) {
        self.put_len(text.len());
        self.extend_from_slice(text);
    }

    fn put_maybe(&mut self, text: Option<&[u8]>) {
        match text {
            Some(text) => self.put_text(text),
            None => self.put_u32(ABSENT),
        }
    }
}

/// Takes numbers and texts off the front of octets; `None` where they are not there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Octets<'a>(&'a [u8]);

impl<'a> Octets<'a> {
    /// Reads from these.
    pub(super) fn new(octets: &'a [u8]) -> Self {
        Octets(octets)
    }

    /// What has not been read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// Whether all has been read.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// So many octets.
    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    /// One octet.
    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    /// Two octets.
    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    /// Four octets.
    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight octets.
    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// An octet that is zero or one.
    pub(super) fn flag(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// A length.
    pub(super) fn len(&mut self) -> Option<usize> {
        usize::try_from(self.u32()?).ok()
    }

    /// Octets behind their length.
    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.len()?;
        self.take(length)
    }

    /// The same where there may be none.
    pub(super) fn maybe(&mut self) -> Option<Option<&'a [u8]>> {
        match self.u32()? {
            ABSENT => Some(None),
            length => self.take(usize::try_from(length).ok()?).map(Some),
        }
    }

    /// A list behind its length.
    pub(super) fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let length = self.len()?;
        // An entry takes at least one octet, so a length that lies ends the reading soon.
        let mut list = Vec::new();
        for _ in 0..length {
            list.push(one(self)?);
        }
        Some(list)
    }
}
