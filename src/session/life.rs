//! The life of a session on its worker: its task, and then perhaps its heir, who goes on with its client. Until both are done it
//! stands in the lists and can be killed.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use super::desk::Found;
use super::notice::Notice;
use super::portrait::Portrait;
use super::task::Task;
use super::worker::Worker;

/// Takes a session off the lists, however it ends.
struct Entry {
    id: u32,
    worker: Rc<Worker>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.worker.session_ended(self.id);
    }
}

/// Lives a session to its end.
#[expect(clippy::manual_async_fn, reason = "the future of an `async fn` holds its arguments twice: a KiB a session")]
pub(super) fn live(id: u32, mut task: Task, worker: Rc<Worker>, notice: Rc<Notice>) -> impl Future<Output = ()> {
    async move {
        let _entry = Entry { id, worker: worker.clone() };
        (&mut task).await;
        worker.note_login(id, task.machine.client.standing, task.machine.client.address);
        let portrait = Box::new(task.machine.portrait(&worker.bench().desk));
        let dump = Dump { begun: Instant::now(), listener: task.listener, portrait };
        let Some(handover) = task.handover() else { return };
        let mut heir = worker.heir()(handover);
        poll_fn(|context| if dump.is_to_end(&notice, context) { Poll::Ready(()) } else { heir.as_mut().poll(context) })
            .await;
    }
}

/// What is known of a session whose client is sent a dump.
struct Dump {
    begun: Instant,
    listener: u8,
    /// What it showed of itself before.
    portrait: Box<Portrait>,
}

impl Dump {
    /// A replica comes back by itself, so an heir ends at once, be it for a KILL or because the proxy stops.
    fn is_to_end(&self, notice: &Notice, context: &Context<'_>) -> bool {
        notice.attend(context.waker());
        let heard = notice.take();
        // Askers that have gone meanwhile need no answer.
        for (_, asker) in heard.finds {
            let _ = asker.send(Found::Nowhere(self.portrait.user.as_bytes().into()));
        }
        for easel in heard.easels {
            let _ = easel.send((self.listener, self.portrait()));
        }
        heard.end || heard.drain
    }

    fn portrait(&self) -> Portrait {
        let past = self.begun.elapsed();
        let (age, for_ms) = (self.portrait.age + past.as_secs(), past.as_millis() as u64);
        Portrait { state: "dump".to_owned(), for_ms, age, ..(*self.portrait).clone() }
    }
}
