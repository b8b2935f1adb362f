// What happens on the server, as it happens: by WebSocket, else by server-sent events. Whoever listens also polls.
const TYPES = ["job.queued", "job.started", "job.progress", "unit.done", "job.succeeded", "job.failed", "job.cancelled",
  "model.state"];
const [FIRST, LONGEST] = [500, 15_000];
/** So many sockets in a row that never opened mean that something between us lets none through. */
const GIVEN_UP = 3;

/** Calls `heard()` for every event and after every new connection, for then some may have been missed. */
export function live(heard) {
  let pause = FIRST;
  let refused = 0;
  const connect = () => {
    const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/ws`);
    let opened = false;
    socket.addEventListener("open", () => { opened = true; refused = 0; pause = FIRST; heard(); });
    socket.addEventListener("message", heard);
    socket.addEventListener("close", () => {
      refused = opened ? 0 : refused + 1;
      if (refused >= GIVEN_UP) return stream();
      setTimeout(connect, pause);
      pause = Math.min(LONGEST, pause * 2);
    });
  };
  const stream = () => {
    const source = new EventSource("/v1/events"); // It connects again by itself.
    source.addEventListener("open", heard);
    for (const type of TYPES) source.addEventListener(type, heard);
  };
  connect();
}
