//! `oarlock link`: orders for the links of a running proxy.

use std::io::{BufRead, Write};
use std::process::ExitCode;

use super::proxy::{Proxies, Proxy};
use crate::gtid::Position;
use crate::replication::link::board::{Answer, OrderText};

/// Start, stop or help a link of a running proxy
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    order: Order,
    #[command(flatten)]
    proxies: Proxies,
}

#[derive(clap::Subcommand)]
enum Order {
    /// Run the link from now on
    Start {
        /// The link
        name: String,
    },
    /// Stop the link until it is started again, also over a restart of the proxy
    Stop {
        /// The link
        name: String,
    },
    /// Try again now what has failed
    Retry {
        /// The link
        name: String,
    },
    /// Show the transaction at which the link has stopped with an error, and go on after it
    Skip {
        /// The link
        name: String,
        /// Don't ask
        #[arg(long)]
        yes: bool,
    },
    /// Start the link from a position, such as that of the copy this site's data was made of
    Bootstrap {
        /// The link
        name: String,
        /// The last transactions of the remote that this site holds, such as 81-8000-12; empty for none
        #[arg(long, value_name = "POSITION")]
        from_position: Position,
    },
}

/// Gives the order and prints what comes of it.
pub fn run(args: Args) -> ExitCode {
    args.proxies.order(|proxy| {
        let order = |name: &str, order: &str, argument: &str| give(proxy, name, order, argument).map(|said| said.text);
        match &args.order {
            Order::Start { name } => order(name, "start", ""),
            Order::Stop { name } => order(name, "stop", ""),
            Order::Retry { name } => order(name, "retry", ""),
            Order::Bootstrap { name, from_position } => order(name, "bootstrap", &from_position.to_string()),
            Order::Skip { name, yes } => skip(proxy, name, *yes),
        }
    })
}

fn skip(proxy: &Proxy, name: &str, yes: bool) -> Result<String, String> {
    let failed = give(proxy, name, "failed", "")?;
    let transaction = failed.transaction.unwrap_or_default();
    println!("{}", failed.text);
    if !yes && !agreed(&format!("Skip {transaction}? This site will not have what it does. [y/N] ")) {
        return Err("nothing is skipped".to_owned());
    }
    give(proxy, name, "skip", &transaction).map(|said| said.text)
}

fn agreed(question: &str) -> bool {
    print!("{question}");
    let mut answer = String::new();
    let asked = std::io::stdout().flush().and_then(|()| std::io::stdin().lock().read_line(&mut answer));
    asked.is_ok() && ["y", "yes"].contains(&answer.trim().to_lowercase().as_str())
}

fn give(proxy: &Proxy, name: &str, order: &str, argument: &str) -> Result<Answer, String> {
    let text = OrderText { order: order.to_owned(), argument: argument.to_owned() };
    proxy.post_to("links", name, &text)
}
