//! The configuration of a proxy in front of one of the lab's two sites.

use std::fmt::Write;
use std::net::Ipv4Addr;

use super::Lab;
use super::spec::{Kind, SERVICE_USER, SITE_PASSWORD};

/// One of the guide's two data centres.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    /// The Galera cluster.
    Primary,
    /// The standalone server.
    Dr,
}

impl Lab {
    /// Where the proxy of this site listens: the guide's last byte in this lab's net.
    pub fn proxy_address(&self, site: Site) -> Ipv4Addr {
        self.address(match site {
            Site::Primary => 70,
            Site::Dr => 80,
        })
    }

    /// The configuration of a proxy of this site at `proxy`: applications on port 4006, replicas on 4007, its admin address on 4008.
    /// The password is in it, so a file made of it must be closed to other users.
    pub fn config_toml(&self, site: Site, proxy: Ipv4Addr) -> String {
        let (name, kind, word) = match site {
            Site::Primary => ("dc", Kind::Galera, "galera"),
            Site::Dr => ("dr", Kind::Standalone, "standalone"),
        };
        let mut text = format!(
            r#"[site]
name = "{name}"
user = "{SERVICE_USER}"
password = "{SITE_PASSWORD}"

[cluster]
kind = "{word}"
probe_interval = "1s"

[[listener]]
name = "applications"
address = "{proxy}:4006"
service = "read-write-split"

[[listener]]
name = "replicas"
address = "{proxy}:4007"
service = "replication"

[admin]
address = "{proxy}:4008"
"#
        );
        let nodes = self.nodes().iter().filter(|node| node.kind() == kind);
        for (priority, node) in (1..).zip(nodes) {
            let (name, address) = (node.name(), node.address());
            // Writing to a string can't fail.
            let _ = write!(text, "\n[[node]]\nname = \"{name}\"\naddress = \"{address}\"\npriority = {priority}\n");
        }
        text
    }
}
