//! What a job usually needs, in one line.

pub use hurtig_engine::{
    Data, Error, Origin, Record, Result,
    dead_letter::DeadLetter,
    operator::{Operator, OperatorFactory, Output, Progress},
    sink::{Sink, SinkWriter},
    source::Source,
    task::{OutputTag, RuntimeContext},
    time::{hours, mins, ms, secs},
    watermark::WatermarkStrategy,
};
pub use hurtig_state::{
    AggregateFunction, AggregatingState, AggregatingStateDescriptor, Key, ListState, ListStateDescriptor, MapState,
    MapStateDescriptor, ReducingState, ReducingStateDescriptor, StateTtlConfig, ValueState, ValueStateDescriptor,
};

pub use crate::{
    collector::Collector,
    connectors::{discard::DiscardingSink, print::PrintSink},
    keyed_process::{KeyedContextOf, KeyedProcessFunction, Timer},
    process::ProcessFunction,
    stream::{DataStream, DataStreamSink, Environment, KeyedStream},
    window::{TimeWindow, TumblingEventTimeWindows},
};
