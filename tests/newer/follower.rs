//! A replica of 11.8 behind a cluster of this system's, set up as such servers are if nothing is said of TLS: it wants TLS, and a source
//! that shows it has the password.

use oarlock::lab::{Lab, REPLICATION_USER, SITE_PASSWORD, Site, until};

use crate::newer;
use crate::replica::{SOON, Stop, Writes, goes_on, source_of_dump, status, the_same_everywhere, writer};

#[test]
fn a_newer_replica_notices_nothing() {
    let lab = Lab::builder().start().unwrap();
    let second =
        Lab::builder().galera(0).standalone(true).userland(&newer()).option("server_id", "9000").start().unwrap();
    let replica = &second.nodes()[0];
    let folder = tempfile::tempdir().unwrap();
    let (proxy, _) = crate::certificate::proxy(&lab, Site::Primary, folder.path(), "");
    proxy.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT AUTO_INCREMENT PRIMARY KEY, v INT, w TEXT)");
    assert!(replica.value("SELECT VERSION()").unwrap().unwrap().starts_with("11.8."));
    let address = proxy.address();
    let host = address.ip();
    replica
        .sql(&format!(
            "CHANGE MASTER TO MASTER_HOST = '{host}', MASTER_PORT = 4007, MASTER_USER = '{REPLICATION_USER}',
                MASTER_PASSWORD = '{SITE_PASSWORD}', MASTER_HEARTBEAT_PERIOD = 0.5; START SLAVE"
        ))
        .unwrap();
    let runs = || status(replica, "Slave_IO_Running") == "Yes";
    assert!(until(SOON, runs), "{:?}\n{}", replica.sql("SHOW SLAVE STATUS"), proxy.log());
    let tls = replica.sql("SHOW SLAVE STATUS").unwrap()[0].clone();
    assert_eq!((tls[26].as_deref(), tls[33].as_deref()), (Some("Yes"), Some("Yes")), "TLS, and verified");

    let writes = Writes::default();
    std::thread::scope(|scope| {
        scope.spawn(|| writes.run(proxy.address()));
        let _stop = Stop(&writes);
        writes.more(100);
        goes_on(replica);
        let dead = writer(&lab, &proxy).unwrap();
        dead.kill().unwrap();
        assert!(until(SOON, || source_of_dump(&proxy) != dead.name()), "{}", proxy.log());
        writes.more(100);
        goes_on(replica);
    });
    assert_eq!(status(replica, "Last_IO_Errno"), "0");
    the_same_everywhere(&lab, replica);
    assert_eq!(crate::replica::connections(&proxy), 1, "it has connected once");
}
