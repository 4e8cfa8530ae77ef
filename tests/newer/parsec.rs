//! Accounts of parsec, which 10.11 has not: their servers and clients are of 11.8.

use oarlock::lab::{Lab, Site};

use crate::support::{path, succeeded};
use crate::{certificate, client, newer, refused};

const ASK: [&str; 2] = ["-e", "SELECT CURRENT_USER(), @@version LIKE '11.8.%'"];

#[test]
fn accounts_of_parsec_log_in() {
    let lab = Lab::builder().galera(0).standalone(true).userland(&newer());
    let lab = lab.option("plugin_load_add", "auth_parsec").start().unwrap();
    let server = &lab.nodes()[0];
    let one = "IDENTIFIED VIA parsec USING PASSWORD('secret')";
    server.sql(&format!("CREATE USER one@'%' {one}; CREATE USER told@'%' {one}")).unwrap();
    server.sql(&format!("CREATE USER two@'%' {one} OR mysql_native_password USING PASSWORD('other')")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let account = "\n[[account]]\nuser = \"told\"\npassword = \"secret\"\n";
    let (proxy, _) = certificate::proxy(&lab, Site::Dr, folder.path(), account);
    let ca = format!("--ssl-ca={}", path(folder.path(), "proxy.pem"));
    let ask = |user: &str, password: &str, more: &str| {
        let mut arguments = vec![more];
        arguments.extend(ASK);
        client(proxy.address(), user, password, &arguments)
    };
    assert_eq!(succeeded(&ask("one", "secret", &ca)), "one@%\t1");
    assert_eq!(succeeded(&ask("two", "secret", &ca)), "two@%\t1");
    assert_eq!(succeeded(&ask("two", "other", &ca)), "two@%\t1");
    assert_eq!(succeeded(&ask("told", "secret", "--skip-ssl")), "told@%\t1", "by the configuration, without TLS");
    for (user, more) in [("one", &*ca), ("two", &*ca), ("told", "--skip-ssl")] {
        let wrong = refused(&ask(user, "wrong", more));
        assert!(wrong.contains("ERROR 1045 (28000): Access denied for user"), "{wrong}");
    }
    let asked = refused(&ask("one", "secret", "--skip-ssl"));
    assert!(asked.contains("takes it in TLS only"), "{asked}");
}
