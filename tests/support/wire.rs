//! A wire between a program and a server that can be cut: bytes stop in both directions, and no connection ends by it.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use oarlock::lab::until;

/// A wire; whole until it is cut.
pub struct Wire {
    is_cut: Arc<AtomicBool>,
}

/// Longer than any test: a wire that is still cut then ends its connections.
const CUT_MAX: Duration = Duration::from_secs(600);

impl Wire {
    /// Lays one from this address to a server. Its threads end with the process.
    pub fn lay(from: SocketAddrV4, to: SocketAddrV4) -> Self {
        let is_cut = Arc::new(AtomicBool::new(false));
        let listener = TcpListener::bind(from).unwrap();
        let cut = is_cut.clone();
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let cut = cut.clone();
                std::thread::spawn(move || {
                    until(CUT_MAX, || !cut.load(Ordering::Relaxed));
                    let Ok(far) = TcpStream::connect(to) else { return };
                    let (Ok(back), Ok(forth)) = (far.try_clone(), near.try_clone()) else { return };
                    let its = cut.clone();
                    std::thread::spawn(move || pass(back, near, &its));
                    pass(forth, far, &cut);
                });
            }
        });
        Self { is_cut }
    }

    pub fn cut(&self) {
        self.is_cut.store(true, Ordering::Relaxed);
    }

    pub fn mend(&self) {
        self.is_cut.store(false, Ordering::Relaxed);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, is_cut: &AtomicBool) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut buffer).unwrap_or(0);
        until(CUT_MAX, || !is_cut.load(Ordering::Relaxed));
        if read == 0 || to.write_all(&buffer[..read]).is_err() {
            // Who is gone already need not be told.
            let _ = to.shutdown(Shutdown::Both);
            return;
        }
    }
}
