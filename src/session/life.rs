//! The life of a session on its worker: its task, and then perhaps its heir, who goes on with its client. Until both are done it
//! stands in the lists and can be killed.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::desk::Found;
use super::notice::Notice;
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
        let Some(handover) = task.handover() else { return };
        let user = handover.credentials.user.clone();
        let mut heir = worker.heir()(handover);
        poll_fn(
            |context| if is_to_end(&notice, &user, context) { Poll::Ready(()) } else { heir.as_mut().poll(context) },
        )
        .await;
    }
}

/// A replica comes back by itself, so an heir ends at once, be it for a KILL or because the proxy stops.
fn is_to_end(notice: &Notice, user: &[u8], context: &Context<'_>) -> bool {
    notice.attend(context.waker());
    let heard = notice.take();
    for (_, asker) in heard.finds {
        // An asker that has gone meanwhile needs no answer.
        let _ = asker.send(Found::Nowhere(user.into()));
    }
    heard.end || heard.drain
}
