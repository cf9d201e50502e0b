// Writes node.bin: one aggregate as npm's aws-kinesis-agg packs it. Run: npm i aws-kinesis-agg && node make.js
const fs = require('fs');
const path = require('path');
const agg = require('aws-kinesis-agg');

// This package keeps explicit hash keys in the order of an object's keys: with one below 2^32 among
// them the members would get each other's.
const members = [
  { partitionKey: 'meter-1', data: Buffer.from('{"kwh":1.25}') },
  { partitionKey: 'meter-2', data: Buffer.alloc(0) },
  { partitionKey: 'meter-1', data: Buffer.from(Array.from({ length: 256 }, (_, i) => i)) },
  { partitionKey: 'zähler-3 ☀', data: Buffer.from('größer'), explicitHashKey: '340282366920938463463374607431768211455' },
  { partitionKey: 'meter-4', data: Buffer.alloc(20000, 'x'), explicitHashKey: '170141183460469231731687303715884105728' },
];
agg.aggregate(
  members,
  (encoded, done) => {
    fs.writeFileSync(path.join(__dirname, 'node.bin'), encoded.data);
    console.log(encoded.partitionKey, encoded.data.length);
    done();
  },
  () => {},
  (error) => { throw error; },
);
