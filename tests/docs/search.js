// Asks the site's own search: the theme's worker over the index, as a browser runs both. Prints the pages of each answer.
"use strict";
const fs = require("fs");
const path = require("path");
const vm = require("vm");

const [site, ...queries] = process.argv.slice(2);
const workers = path.join(site, "assets/javascripts/workers");
const worker = fs.readdirSync(workers).find((name) => /^search\..*\.js$/.test(name));

let listener, resolve;
globalThis.self = globalThis;
globalThis.addEventListener = (_, added) => { listener = added; };
globalThis.postMessage = (message) => resolve(message);
vm.runInThisContext(fs.readFileSync(path.join(workers, worker), "utf8"));

const ask = (type, data) => new Promise((answered) => { resolve = answered; listener({ data: { type, data } }); });

(async () => {
  const { config, docs } = JSON.parse(fs.readFileSync(path.join(site, "search/search_index.json"), "utf8"));
  await ask(0, { config, docs, options: { suggest: false } });
  const found = {};
  for (const query of queries) {
    const { data } = await ask(2, query);
    found[query] = data.items.map((page) => page[0].location.split("#")[0]);
  }
  console.log(JSON.stringify(found));
})();
