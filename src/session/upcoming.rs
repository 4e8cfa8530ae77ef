//! What the client has said of its next transaction (SET TRANSACTION, pure). A node forgets it with the end of that transaction, so it
//! is no effect of the session's: it is kept until the transaction has begun, and then belongs to that.

use super::desk::Slot;

/// The commands that say it.
#[derive(Default)]
pub(super) struct Upcoming {
    commands: Vec<Box<[u8]>>,
    /// The connection that has heard all of them.
    at: Option<Slot>,
}

impl Upcoming {
    /// Bytes that it keeps besides itself.
    pub(super) fn memory(&self) -> usize {
        self.commands.iter().map(|command| command.len()).sum()
    }

    /// Whether anything was said.
    pub(super) fn is_set(&self) -> bool {
        !self.commands.is_empty()
    }

    /// One more was said on this connection.
    pub(super) fn add(&mut self, command: Vec<u8>, slot: Slot) {
        self.commands.retain(|before| **before != *command);
        self.commands.push(command.into());
        self.at = Some(slot);
    }

    /// What was said, in order.
    pub(super) fn commands(&self) -> impl Iterator<Item = &[u8]> {
        self.commands.iter().map(|command| &**command)
    }

    /// What this connection has not heard; it has now.
    pub(super) fn tell(&mut self, slot: Slot) -> impl Iterator<Item = &[u8]> {
        let heard = self.at == Some(slot);
        self.at = Some(slot);
        self.commands.iter().filter(move |_| !heard).map(|command| &**command)
    }

    /// This connection has heard all of it.
    pub(super) fn heard(&mut self, slot: Slot) {
        self.at = Some(slot);
    }

    /// No connection knows it any more: the one that did is gone, or has rolled back what it was said of.
    pub(super) fn forget(&mut self) {
        self.at = None;
    }

    /// The same, if it is this one that is gone.
    pub(super) fn lost(&mut self, slot: Slot) {
        self.at = self.at.filter(|at| *at != slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connection_hears_it_once() {
        let mut upcoming = Upcoming::default();
        assert!(!upcoming.is_set());
        upcoming.add(b"read only".to_vec(), 0);
        upcoming.add(b"serializable".to_vec(), 0);
        upcoming.add(b"read only".to_vec(), 0);
        let told = |upcoming: &mut Upcoming, slot| upcoming.tell(slot).map(<[u8]>::to_vec).collect::<Vec<_>>();
        assert_eq!(told(&mut upcoming, 0).len(), 0);
        assert_eq!(told(&mut upcoming, 1), [&b"serializable"[..], b"read only"]);
        assert_eq!(told(&mut upcoming, 1).len(), 0);
        upcoming.lost(0);
        assert_eq!(told(&mut upcoming, 1).len(), 0);
        upcoming.lost(1);
        assert_eq!(told(&mut upcoming, 1).len(), 2);
        upcoming.forget();
        assert_eq!(told(&mut upcoming, 1).len(), 2);
    }
}
