// One peer, passes over a generated flow: prints commands per CPU-second and what it traded, as JSON.
// node node_driver.js MODULES_FOLDER FLOW.csv PASSES; the first pass warms the compiler up and does not count.
const fs = require("fs"), path = require("path");
const [modules, file, passes] = process.argv.slice(2);
const { OrderBook } = require(path.join(modules, "nodejs-order-book"));
const rows = fs.readFileSync(file, "ascii").trim().split("\n").map((line) => {
  const [kind, id, side, price, quantity] = line.split(",");
  return { kind, id, side: side === "1" ? "buy" : "sell", price: +price, size: +quantity };
});

function limit(book, row) {
  return book.limit({ side: row.side, id: row.id, size: row.size, price: row.price, timeInForce: "GTC" });
}

function step(book, row) {
  if (row.kind === "C") return book.cancel(row.id);
  if (row.kind === "M") return book.market({ side: row.side, size: row.size });
  if (row.kind === "R") book.cancel(row.id);
  return limit(book, row);
}

let traded = 0;
const checked = new OrderBook();
for (const row of rows) {
  const answer = step(checked, row);
  if (row.kind === "M") traded += row.size - answer.quantityLeft;
  if (row.kind === "X") traded += row.size - (checked.order(row.id)?.size ?? 0);
}
const rates = [];
for (let pass = 0; pass < +passes; pass++) {
  const book = new OrderBook();
  const before = process.cpuUsage();
  for (const row of rows) step(book, row);
  const used = process.cpuUsage(before);
  rates.push((rows.length / (used.user + used.system)) * 1e6);
}
console.log(JSON.stringify({ per_cpu_second: rates.sort((a, b) => a - b)[rates.length >> 1], traded_quantity: traded }));
