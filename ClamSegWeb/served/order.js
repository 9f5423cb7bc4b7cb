// What was changed goes before the click that follows it. trame keeps changes back while an answer is on its way but sends
// clicks at once: "Reject smaller" would be done with the size of before, and a threshold that was let go would stay moving.
(() => {
  const waiting = [];
  const { port1, port2 } = new MessageChannel();
  // One turn of the browser later, when a change that was on its way out is out.
  port1.onmessage = () => waiting.shift()();
  const send_changes = ({ state, client }) => {
    const keys = [...state.dirtyKeys];
    if (!keys.length || !client.isConnected()) return;
    keys.forEach((key) => state.dirtyKeys.delete(key));
    client.getRemote().Trame.updateState(keys.map((key) => ({ key, value: state.get(key) })))
      .catch(() => keys.forEach((key) => state.dirtyKeys.add(key)));
  };
  const order = () => {
    const trame = window.trame;
    if (!trame || !trame.state) return setTimeout(order, 20);
    const send = trame.trigger;
    trame.trigger = (...click) => new Promise((resolve, reject) => {
      waiting.push(() => {
        try { send_changes(trame); } catch (error) { console.log(error); } // the click itself tells of a lost connection
        send(...click).then(resolve, reject);
      });
      port2.postMessage(null);
    });
  };
  order();
})();
