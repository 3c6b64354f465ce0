// Drives the twin with jsforce as its users do, and prints what came of it as one JSON object.
// Usage: node jsforce_tour.cjs ORG_JSON (LEAK_RESPONSE_CLIENTS names the folder with node_modules)
const fs = require("fs");
const path = require("path");
const jsforce = require(path.join(process.env.LEAK_RESPONSE_CLIENTS, "node_modules", "jsforce"));

const org = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const admin = org.admin;

async function refusal(promise) {
  try {
    await promise;
    return "no refusal";
  } catch (error) {
    return error.errorCode || error.message.split(":")[0];
  }
}

async function collect(stream) {
  const rows = [];
  for await (const row of stream) rows.push(row);
  return rows;
}

async function main() {
  const told = {};
  const oauth2 = { loginUrl: org.url, clientId: admin.consumer_key, clientSecret: admin.consumer_secret };

  const bySoap = new jsforce.Connection({ loginUrl: org.url, version: "64.0" });
  await bySoap.login(admin.username, admin.password);
  told.soapLogin = (await bySoap.identity()).username;
  told.wrongPassword = await refusal(
    new jsforce.Connection({ loginUrl: org.url, version: "64.0" }).login(admin.username, "wrong"));

  const conn = new jsforce.Connection({ oauth2, instanceUrl: org.url, version: org.api_version });
  await conn.authorize({ grant_type: "client_credentials" });
  told.clientCredentials = (await conn.identity()).username;

  const first = await conn.query("SELECT Id, Name, Account.Name FROM Contact");
  told.total = first.totalSize;
  told.fetched = (await conn.query("SELECT Id FROM Contact", { autoFetch: true, maxFetch: 100000 })).records.length;
  told.children = (await conn.query("SELECT Id, (SELECT Id FROM Contacts) FROM Account LIMIT 5")).records.length;
  told.describe = (await conn.describe("Contact")).fields.length;
  told.global = (await conn.describeGlobal()).sobjects.length;
  told.limits = Boolean((await conn.limits()).DailyApiRequests);

  const made = await conn.sobject("Account").create([{ Name: "JS one" }, { Name: "JS two" }]);
  told.created = made.map((one) => one.success);
  told.updated = (await conn.sobject("Account").update({ Id: made[0].id, Phone: "1" })).success;
  told.retrieved = (await conn.sobject("Account").retrieve(made.map((one) => one.id))).map((one) => one.Name);
  told.searched = (await conn.search("FIND {JS one} IN ALL FIELDS RETURNING Account(Id, Name)")).searchRecords.length;
  told.destroyed = (await conn.sobject("Account").destroy(made.map((one) => one.id))).map((one) => one.success);

  conn.bulk2.pollInterval = 100;
  conn.bulk2.pollTimeout = 60000;
  told.bulk = (await collect(await conn.bulk2.query("SELECT Id, Email FROM Contact"))).length;
  const loaded = await conn.bulk2.loadAndWaitForResults({
    object: "Account", operation: "insert", input: [{ Name: "Bulk one", Phone: "1" }, { Name: "", Phone: "2" }],
  });
  told.loaded = [loaded.successfulResults.length, loaded.failedResults.length];

  told.badQuery = await refusal(conn.query("SELECT Nope FROM Contact"));
  told.badSyntax = await refusal(conn.query("SELECT FROM"));
  told.badObject = await refusal(conn.sobject("Nothing").describe());
  told.missingField = await refusal(conn.sobject("Account").create({ Phone: "1" }));
  told.badSession = await refusal(
    new jsforce.Connection({ instanceUrl: org.url, accessToken: "00D!nothing", version: org.api_version }).query("SELECT Id FROM Account"));
  const accessToken = conn.accessToken;
  await conn.logout();
  told.afterLogout = await refusal(
    new jsforce.Connection({ instanceUrl: org.url, accessToken, version: org.api_version }).query("SELECT Id FROM Account"));
  console.log(JSON.stringify(told));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
