//! A job of one's own: the energy of every region and hour, of a fleet that is made up.
use hurtig::{
    cli::NoOptions,
    connectors::generator::{GeneratorConfig, GeneratorSource, MeterReading},
    connectors::print::PrintSink,
    prelude::*,
};

#[derive(Clone)]
struct WattHours;

#[rustfmt::skip]
impl AggregateFunction for WattHours {
    type In = MeterReading;
    type Acc = u64;
    type Out = u64;
    fn create_accumulator(&self) -> u64 { 0 }
    fn add(&self, sum: &mut u64, reading: MeterReading) { *sum += u64::from(reading.wh.unwrap_or(0)); }
    fn get_result(&self, sum: &u64) -> u64 { *sum }
    fn merge(&self, sum: &mut u64, other: u64) { *sum += other; }
}

fn main() -> std::process::ExitCode {
    hurtig::run("my-job", |env: &Environment, _: &NoOptions| {
        let fleet = GeneratorConfig { meters: 1_000, regions: 4, duration: Some(hours(24)), ..Default::default() };
        let watermarks = WatermarkStrategy::bounded_out_of_orderness(secs(5));
        env.from_source(
            GeneratorSource::readings(&fleet)?,
            watermarks.with_timestamp_assigner(|r: &MeterReading, _arrival: i64| r.time),
            "fleet",
        )
        .key_by(|r: &MeterReading| r.region)
        .window(TumblingEventTimeWindows::of(hours(1)))
        .aggregate(WattHours, |region: &u16, hour: TimeWindow, wh: u64| (*region, hour.start, wh))
        .sink_to(PrintSink::debug());
        Ok(())
    })
}
