// Loaded before a server that listens on every interface and has no option for another address.
const { Server } = require("net");

const listen = Server.prototype.listen;
Server.prototype.listen = function (...args) {
  const [first, second] = args;
  if (first !== null && typeof first === "object") args[0] = { ...first, host: "127.0.0.1" };
  else if (typeof second === "string") args[1] = "127.0.0.1";
  else args.splice(1, 0, "127.0.0.1");
  return listen.apply(this, args);
};
