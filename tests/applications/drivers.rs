//! A driver that applications use, as they use it.

use std::net::SocketAddrV4;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Params, Pool, TxOpts, params};
use oarlock::lab::{APP_PASSWORD, APP_USER};

const BLOB: usize = 20 << 20;
const TASKS: u32 = 16;

pub fn all(proxy: SocketAddrV4) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = OptsBuilder::default()
            .ip_or_hostname(proxy.ip().to_string())
            .tcp_port(proxy.port())
            .user(Some(APP_USER))
            .pass(Some(APP_PASSWORD))
            .db_name(Some("shop"))
            .max_allowed_packet(Some(64 << 20))
            .prefer_socket(false);
        let pool = Pool::new(options);
        let mut conn = pool.get_conn().await.unwrap();
        one(&mut conn).await.unwrap();
        drop(conn);
        many(&pool).await;
        pool.disconnect().await.unwrap();
    });
}

async fn one(conn: &mut Conn) -> mysql_async::Result<()> {
    conn.query_drop("CREATE OR REPLACE TABLE driven (a INT AUTO_INCREMENT PRIMARY KEY, b LONGBLOB)").await?;
    let rows: Vec<Params> = (0..10_u32).map(|number| params! { "b" => number.to_string() }).collect();
    conn.exec_batch("INSERT INTO driven (b) VALUES (:b)", rows).await?;
    let count: Option<u32> = conn.query_first("SELECT COUNT(*) FROM driven").await?;
    assert_eq!(count, Some(10));

    let blob: Vec<u8> = (0..BLOB).map(|place| (place % 251) as u8).collect();
    conn.exec_drop("INSERT INTO driven (b) VALUES (?)", (&blob,)).await?;
    let id = conn.last_insert_id().unwrap();
    let back: Option<Vec<u8>> = conn.exec_first("SELECT b FROM driven WHERE a = ?", (id,)).await?;
    assert!(back.as_ref() == Some(&blob), "20 MiB by the binary protocol");
    let back: Option<Vec<u8>> = conn.query_first(format!("SELECT b FROM driven WHERE a = {id}")).await?;
    assert!(back == Some(blob), "20 MiB by the text protocol");

    let mut transaction = conn.start_transaction(TxOpts::default()).await?;
    transaction.exec_drop("DELETE FROM driven WHERE a = ?", (id,)).await?;
    let gone: Option<u32> = transaction.exec_first("SELECT a FROM driven WHERE a = ?", (id,)).await?;
    assert_eq!(gone, None);
    transaction.rollback().await?;
    let still: Option<u64> = conn.exec_first("SELECT a FROM driven WHERE a = ?", (id,)).await?;
    assert_eq!(still, Some(id));

    conn.query_drop("SET @kept = 1").await?;
    assert!(conn.reset().await?);
    let kept: Option<Option<u32>> = conn.query_first("SELECT @kept").await?;
    assert_eq!(kept, Some(None));
    conn.change_user(mysql_async::ChangeUserOpts::default()).await?;
    let schema: Option<String> = conn.query_first("SELECT DATABASE()").await?;
    assert_eq!(schema.as_deref(), Some("shop"));
    Ok(())
}

/// Pooled connections that several tasks share.
async fn many(pool: &Pool) {
    let task = |task: u32| {
        let pool = pool.clone();
        async move {
            for round in 0..20_u32 {
                let mut conn = pool.get_conn().await.unwrap();
                let sum: Option<u32> = conn.exec_first("SELECT ? + ?", (task, round)).await.unwrap();
                assert_eq!(sum, Some(task + round));
            }
        }
    };
    let tasks: Vec<_> = (0..TASKS).map(|number| tokio::spawn(task(number))).collect();
    for task in tasks {
        task.await.unwrap();
    }
}
