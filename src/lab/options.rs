//! The server options of a lab's members. Pure: an order in, the text of `my.cnf` out.

use std::fmt::Write;

use super::spec::{Kind, Member, Site, Spec};

/// The configuration of one member. `user` is the system user it runs as.
pub(super) fn my_cnf(spec: &Spec, member: Member, user: &str) -> String {
    let mut text = String::from("[mariadbd]\n");
    let mut put = |lines: &[(&str, String)]| {
        for (name, value) in lines {
            // Writing to a string can't fail.
            let _ = writeln!(text, "{name}={value}");
        }
    };
    put(&place(spec, member, user));
    put(&guide(spec, member));
    text.push_str(FAST);
    if member.kind == Kind::Galera {
        let _ = write!(text, "\n[galera]\n{}", galera(spec, member, user));
    }
    text.push_str("\n[mariadbd]\n");
    for (name, value) in &spec.options {
        let _ = writeln!(text, "{name}={value}");
    }
    text
}

/// Where it lives.
fn place(spec: &Spec, member: Member, user: &str) -> Vec<(&'static str, String)> {
    let folder = spec.folder_of(member);
    let file = |name: &str| folder.join(name).display().to_string();
    vec![
        ("user", user.into()),
        ("datadir", file("data")),
        ("socket", file("sock")),
        ("log_error", file("error.log")),
        ("tmpdir", file("tmp")),
        ("bind_address", spec.address(member.number).to_string()),
        ("port", "3306".into()),
    ]
}

/// What the guide says, by member.
fn guide(spec: &Spec, member: Member) -> Vec<(&'static str, String)> {
    let place = member.number - member.site.number();
    let (server_id, offset) = match member.site {
        Site::Primary => ("7000", place),
        Site::Dr => ("8000", spec.primary.count() + place),
    };
    // With one more where there is no other site, as nobody needs to know.
    let writers = spec.primary.count() + spec.dr.count().max(1);
    vec![
        ("server_id", server_id.into()),
        ("gtid_domain_id", member.number.to_string()),
        ("auto_increment_offset", offset.to_string()),
        ("auto_increment_increment", writers.to_string()),
        ("log_bin", "bin".into()),
        ("log_slave_updates", "ON".into()),
        ("skip_slave_start", "ON".into()),
        ("gtid_ignore_duplicates", "ON".into()),
        ("binlog_format", "row".into()),
        ("default_storage_engine", "InnoDB".into()),
        ("innodb_autoinc_lock_mode", "2".into()),
        ("innodb_flush_log_at_trx_commit", "2".into()),
        ("character_set_server", "utf8".into()),
        ("collation_server", "utf8_unicode_ci".into()),
    ]
}

/// The cluster's part.
fn galera(spec: &Spec, member: Member, user: &str) -> String {
    let own = spec.address(member.number);
    let peers: Vec<_> =
        spec.members_of(member.site).into_iter().map(|peer| spec.address(peer.number).to_string()).collect();
    let eviction = if spec.fast_eviction { FAST_EVICTION } else { "" };
    let mut text = String::from(GUIDE_GALERA);
    let _ = writeln!(
        text,
        "wsrep_cluster_name={cluster}
wsrep_gtid_domain_id={domain}
wsrep_cluster_address=gcomm://{peers}
wsrep_node_address={own}
wsrep_node_name={name}
wsrep_sst_method={method}
wsrep_sst_auth={user}:
wsrep_sst_receive_address={own}:4444
wsrep_provider_options=\"gcache.size=64M;gcache.keep_pages_size=64M;gcache.recover=yes;gcs.fc_factor=0.8;\
gmcast.listen_addr=tcp://{own}:4567;ist.recv_addr={own}:4568{eviction}\"

# So that transfers at the same time don't meet: mariabackup's would all listen on every address, and keep logs in one folder.
[sst]
sockopt=\",bind={own}\"
sst_log_archive=0
",
        cluster = member.site.name(),
        domain = spec.domain(member.site),
        peers = peers.join(","),
        name = member.name(),
        method = spec.sst.method(),
    );
    text
}

const GUIDE_GALERA: &str = "\
wsrep_on=ON
wsrep_gtid_mode=ON
wsrep_auto_increment_control=0
wsrep_provider=/usr/lib/galera/libgalera_smm.so
wsrep_trx_fragment_unit=rows
wsrep_trx_fragment_size=10000
";

/// Not the guide's: nothing here survives a power cut, and little memory is used. For tests that break processes, not machines.
const FAST: &str = "
# Fast and small, for trying things out: unfit for data anybody wants to keep.
sync_binlog=0
innodb_doublewrite=0
innodb_buffer_pool_size=64M
innodb_log_file_size=32M
performance_schema=OFF
# Names are never looked up here, and many clients may come.
skip_name_resolve=ON
max_connections=2000
table_open_cache=2000
";

/// A dead node is out after 3 s instead of 6. All five together or Galera refuses to start; under a load that starves the
/// machine of CPU they evict healthy nodes.
const FAST_EVICTION: &str =
    ";evs.keepalive_period=PT0.5S;evs.suspect_timeout=PT2S;evs.inactive_timeout=PT4S;evs.install_timeout=PT3S";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::spec::Servers;
    use crate::lab::{Sst, Userland};

    fn spec() -> Spec {
        Spec {
            folder: "/tmp/lab".into(),
            net: 9,
            primary: Servers::Galera(3),
            dr: Servers::Standalone,
            sst: Sst::Mariabackup,
            userland: Userland::default(),
            fast_eviction: false,
            options: vec![("max_connections".into(), "10".into())],
        }
    }

    /// The last value wins, as in the server.
    fn value(text: &str, name: &str) -> Option<String> {
        text.lines().rev().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
    }

    #[test]
    fn members_have_the_settings_of_the_guide() {
        let spec = spec();
        let texts: Vec<_> = spec.members().into_iter().map(|member| my_cnf(&spec, member, "mysql")).collect();
        let all = |name: &str| -> Vec<_> { texts.iter().map(|text| value(text, name).unwrap_or_default()).collect() };
        assert_eq!(all("bind_address"), ["127.71.9.71", "127.71.9.72", "127.71.9.73", "127.71.9.81"]);
        assert_eq!(all("server_id"), ["7000", "7000", "7000", "8000"]);
        assert_eq!(all("gtid_domain_id"), ["71", "72", "73", "81"]);
        assert_eq!(all("auto_increment_offset"), ["1", "2", "3", "4"]);
        assert_eq!(all("auto_increment_increment"), ["4", "4", "4", "4"]);
        assert_eq!(all("wsrep_gtid_domain_id"), ["70", "70", "70", ""]);
        assert_eq!(all("wsrep_cluster_address")[1], "gcomm://127.71.9.71,127.71.9.72,127.71.9.73");
        assert_eq!(all("wsrep_sst_method"), ["mariabackup", "mariabackup", "mariabackup", ""]);
    }

    #[test]
    fn the_other_site_can_be_a_cluster() {
        let spec = Spec { dr: Servers::Galera(3), ..spec() };
        let texts: Vec<_> = spec.members().into_iter().map(|member| my_cnf(&spec, member, "mysql")).collect();
        let all = |name: &str| -> Vec<_> { texts.iter().map(|text| value(text, name).unwrap_or_default()).collect() };
        assert_eq!(all("server_id"), ["7000", "7000", "7000", "8000", "8000", "8000"]);
        assert_eq!(all("gtid_domain_id"), ["71", "72", "73", "81", "82", "83"]);
        assert_eq!(all("wsrep_gtid_domain_id"), ["70", "70", "70", "80", "80", "80"]);
        assert_eq!(all("auto_increment_offset"), ["1", "2", "3", "4", "5", "6"]);
        assert_eq!(all("auto_increment_increment"), ["6"; 6]);
        assert_eq!(all("wsrep_cluster_address")[4], "gcomm://127.71.9.81,127.71.9.82,127.71.9.83");
        assert_eq!(all("wsrep_cluster_name")[2..4], ["dc", "dr"]);
    }

    #[test]
    fn choices_show() {
        let mut spec = spec();
        let member = spec.members()[0];
        assert_eq!(value(&my_cnf(&spec, member, "mysql"), "max_connections").as_deref(), Some("10"));
        assert!(!my_cnf(&spec, member, "mysql").contains("evs."));
        spec.fast_eviction = true;
        spec.sst = Sst::Rsync;
        let text = my_cnf(&spec, member, "mysql");
        assert_eq!(text.matches("evs.").count(), 4, "{text}");
        assert_eq!(value(&text, "wsrep_sst_method").as_deref(), Some("rsync"));
    }
}
