//! A single standalone server, for what needs no cluster. Up in about two seconds.

use std::ops::Deref;

use super::{Lab, LabError, Node};

/// One server, gone when dropped.
#[derive(Debug)]
pub struct Server {
    lab: Lab,
}

impl Server {
    /// Starts one with the lab's options, and these on top, such as `("max_connections", "10")`.
    pub fn start(options: &[(&str, &str)]) -> Result<Self, LabError> {
        let order = Lab::builder().galera(0).standalone(true);
        let lab = options.iter().fold(order, |order, (name, value)| order.option(name, value)).start()?;
        Ok(Self { lab })
    }

    /// The lab around it.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }
}

impl Deref for Server {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.lab.nodes()[0]
    }
}
