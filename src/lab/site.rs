//! One of the lab's two sites: its servers, its proxy's address, and the configuration of that proxy.

use std::fmt::Write;
use std::net::Ipv4Addr;

use super::spec::{REPLICATION_USER, SERVICE_USER, SITE_PASSWORD, Servers, Site};
use super::{Lab, Node};

impl Lab {
    /// Its servers.
    pub fn nodes_of(&self, site: Site) -> impl Iterator<Item = &Node> {
        self.nodes().iter().filter(move |node| node.site() == site)
    }

    /// The GTID domain in which it writes.
    pub fn domain(&self, site: Site) -> u8 {
        self.spec().domain(site)
    }

    /// Where the proxy of this site listens: the guide's last byte in this lab's net.
    pub fn proxy_address(&self, site: Site) -> Ipv4Addr {
        self.address(site.number())
    }

    /// The configuration of a proxy of this site at `proxy`: applications on port 4006, replicas on 4007, its admin address on 4008.
    /// The password is in it, so a file made of it must be closed to other users.
    pub fn config_toml(&self, site: Site, proxy: Ipv4Addr) -> String {
        let name = site.name();
        let kind = if self.spec().servers(site) == Servers::Standalone { "standalone" } else { "galera" };
        let mut text = format!(
            r#"[site]
name = "{name}"
user = "{SERVICE_USER}"
password = "{SITE_PASSWORD}"

[cluster]
kind = "{kind}"
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
        for (priority, node) in (1..).zip(self.nodes_of(site)) {
            let (name, address) = (node.name(), node.address());
            // Writing to a string can't fail.
            let _ = write!(text, "\n[[node]]\nname = \"{name}\"\naddress = \"{address}\"\npriority = {priority}\n");
        }
        text
    }

    /// The same of a proxy at its usual place, which follows the other site's and keeps in the lab's folder what it remembers.
    pub fn linked_config_toml(&self, site: Site) -> String {
        let (name, other) = match site {
            Site::Primary => ("dr", Site::Dr),
            Site::Dr => ("dc", Site::Primary),
        };
        let state = format!("[site]\nstate_dir = \"{}\"\n", self.folder().display());
        let text = self.config_toml(site, self.proxy_address(site)).replacen("[site]\n", &state, 1);
        let remote = self.proxy_address(other);
        format!(
            "{text}\n[[link]]\nname = \"{name}\"\nremote = [\"{remote}\"]\nuser = \"{REPLICATION_USER}\"\npassword = \"{SITE_PASSWORD}\"\nadmin = \"{remote}:4008\"\n"
        )
    }
}
