//! How long the classifier takes on statements as applications send them.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use oarlock::sql::statement::{LexMode, classify};

const ORM_SELECT: &str = "SELECT `orders`.`id` AS t0_r0, `orders`.`customer_id` AS t0_r1, `orders`.`state` AS t0_r2, \
    `orders`.`created_at` AS t0_r3, `lines`.`id` AS t1_r0, `lines`.`price` AS t1_r1 FROM `orders` LEFT OUTER JOIN \
    `lines` ON `lines`.`order_id` = `orders`.`id` WHERE `orders`.`state` = 'open' AND `orders`.`id` IN (17, 18, 23) \
    ORDER BY `orders`.`id` ASC LIMIT 25";

const ORM_INSERT: &str = "INSERT INTO `lines` (`order_id`, `article`, `price`, `note`, `created_at`) VALUES (17, \
    'A-4711', 12.50, 'the customer said: not before 9; ring twice', '2024-05-06 07:08:09')";

fn classifier(criterion: &mut Criterion) {
    let blob = format!("INSERT INTO t VALUES (1, '{}')", "x y;z@".repeat(20_000));
    let rows = format!("INSERT INTO t VALUES {}(0, 'z')", "(12, 'abc', NULL), ".repeat(5_000));
    let statements = [
        ("point select", "SELECT c FROM sbtest1 WHERE id=12345"),
        ("range select", "SELECT DISTINCT c FROM sbtest1 WHERE id BETWEEN 500 AND 599 ORDER BY c"),
        ("aggregate", "SELECT SUM(k), COUNT(*) FROM sbtest1 WHERE id BETWEEN 500 AND 599"),
        ("update", "UPDATE sbtest1 SET k=k+1 WHERE id=12345"),
        ("begin", "BEGIN"),
        ("set names", "SET NAMES utf8mb4"),
        ("object mapper's select", ORM_SELECT),
        ("object mapper's insert", ORM_INSERT),
        ("120 kB of text", &blob),
        ("95 kB of rows", &rows),
    ];
    let mut group = criterion.benchmark_group("classify");
    for (name, text) in statements {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| classify(black_box(text.as_bytes()), LexMode::default())));
    }
    group.finish();
}

criterion_group!(benches, classifier);
criterion_main!(benches);
