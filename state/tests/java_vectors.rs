//! Hash codes and key groups against a JVM's.

use compact_str::CompactString;
use hurtig_state::{JavaHash, Uuid, key_group, murmur_hash};

fn hash(kind: &str, input: &str) -> i32 {
    let int = || input.parse::<i64>().expect("a number");
    let fields: Vec<&str> = input.split(',').collect();
    match kind {
        "string" => {
            let hash = input.java_hash();
            assert_eq!(hash, input.to_owned().java_hash());
            assert_eq!(hash, CompactString::from(input).java_hash());
            hash
        }
        "i8" => {
            assert_eq!((int() as i8).java_hash(), (int() as u8).java_hash());
            (int() as i8).java_hash()
        }
        "i16" => {
            assert_eq!((int() as i16).java_hash(), (int() as u16).java_hash());
            (int() as i16).java_hash()
        }
        "i32" => {
            assert_eq!((int() as i32).java_hash(), (int() as u32).java_hash());
            (int() as i32).java_hash()
        }
        "i64" => {
            assert_eq!(int().java_hash(), (int() as u64).java_hash());
            Some(int()).java_hash()
        }
        "bool" => (input == "true").java_hash(),
        "char" => input.chars().next().expect("a character").java_hash(),
        "f64" => f64::from_bits(u64::from_str_radix(input, 16).expect("hex")).java_hash(),
        "f32" => f32::from_bits(u32::from_str_radix(input, 16).expect("hex")).java_hash(),
        "uuid" => Uuid(u128::from_str_radix(input, 16).expect("hex")).java_hash(),
        "tuple2" => (CompactString::from(fields[0]), fields[1].parse::<i64>().expect("a number")).java_hash(),
        "tuple3" => {
            let (a, b) = (fields[1].parse::<i64>(), fields[2].parse::<i32>());
            (fields[0], a.expect("a number"), b.expect("a number")).java_hash()
        }
        "tuple6" => (1, 2, 3, 4, 5, 6).java_hash(),
        "null" => {
            assert_eq!(().java_hash(), 0);
            None::<i64>.java_hash()
        }
        other => panic!("unknown kind {other}"),
    }
}

#[test]
fn hash_codes_and_key_groups_are_the_jvms() {
    let mut checked = 0;
    for line in include_str!("data/java_vectors.tsv").lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split('\t').collect();
        let number = |i: usize| fields[i].parse::<i32>().expect("a number");
        let code = hash(fields[0], fields[1]);
        assert_eq!(code, number(2), "hash code of {line}");
        assert_eq!(murmur_hash(code), number(3), "murmur hash of {line}");
        assert_eq!(i32::from(key_group(code, 128)), number(4), "key group of {line}");
        assert_eq!(i32::from(key_group(code, 4096)), number(5), "key group of {line}");
        checked += 1;
    }
    assert!(checked > 400, "only {checked} vectors");
}

#[test]
fn the_extreme_murmur_hash_is_not_negative() {
    for code in (0..2_000_000).chain([i32::MIN, i32::MAX, -1]) {
        assert!(murmur_hash(code) >= 0);
    }
}
