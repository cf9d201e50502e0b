//! Topology files, and what they may not say.

use hurtig_insights::Topology;

#[test]
fn levels_and_places_are_read() {
    let topology =
        Topology::parse("substation, meter_id ,transformer,LATITUDE,longitude\nS,m-1,T,52.5,13.4\nS,m-2,T,,\n")
            .expect("a topology");
    assert_eq!(topology.levels(), ["substation", "transformer"]);
    let place = topology.place("m-1").expect("a place");
    assert_eq!((place.path.clone(), place.position), (vec!["S".to_owned(), "T".to_owned()], Some((52.5, 13.4))));
    assert_eq!(topology.place("m-2").expect("a place").position, None);
    assert_eq!(topology.place("m-3"), None);
}

#[test]
fn every_mistake_is_one_line() {
    for (said, words) in [
        ("", "no column meter_id"),
        ("meter,feeder\n", "no column meter_id"),
        ("meter_id,latitude\n", "latitude and longitude come together"),
        ("meter_id,latitude,longitude\nm,north,1\n", "line 2: 'north' are no degrees"),
        ("meter_id,latitude,longitude\nm,91,1\n", "line 2: '91' are no degrees"),
        ("meter_id,feeder\nm,F\nm,G\n", "line 3: the meter m is there twice"),
        ("meter_id,feeder\n,F\n", "line 2: the meter has no name"),
        ("meter_id,feeder\nm\n", "line: 2"),
    ] {
        let why = Topology::parse(said).expect_err("it cannot be");
        assert!(why.contains(words) && why.lines().count() == 1, "{said}: {why}");
    }
}
