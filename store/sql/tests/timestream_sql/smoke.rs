use crate::fixture::*;

#[tokio::test]
async fn one() {
    let engine = engine(Memory::default());
    assert_eq!(value(&engine, "SELECT 1").await, "1");
    assert_eq!(value(&engine, "SELECT ago(2h)").await, "2023-12-31 22:00:00.000000000");
    assert_eq!(value(&engine, "SELECT bin(now() + 31s, 30s)").await, "2024-01-01 00:00:30.000000000");
}
