//! Counts what each member has open, up to a limit.

use archipel_protocol::ids::MemberId;
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// Places by member.
#[derive(Debug)]
pub(super) struct Seats {
    limit: usize,
    taken: Mutex<BTreeMap<MemberId, usize>>,
}

/// One place; free again when dropped.
#[derive(Debug)]
pub(super) struct Seat<'a> {
    seats: &'a Seats,
    member: MemberId,
}

impl Seats {
    /// Room for `limit` of each member.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            taken: Mutex::default(),
        }
    }

    /// Takes a place, where the member has one left.
    pub(super) fn take(&self, member: MemberId) -> Option<Seat<'_>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(member).or_default();
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(Seat {
            seats: self,
            member,
        })
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut taken = self
            .seats
            .taken
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.member) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.member);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_member_has_its_own_places_and_gets_them_back() {
        let seats = Seats::new(2);
        let [a, b] = [MemberId([1; 32]), MemberId([2; 32])];
        let first = seats.take(a).expect("free");
        let _second = seats.take(a).expect("free");
        assert!(seats.take(a).is_none());
        assert!(seats.take(b).is_some());
        drop(first);
        assert!(seats.take(a).is_some());
    }
}
