/** Where the page begins: who is signed in decides between the sign-in view and everything else. */

import { Failure, events, forgetCredential, hasCredential } from "./client.js";
import { closeDialogs } from "./dialog.js";
import { h, replace } from "./dom.js";
import { buildFrame, watchConnection } from "./frame.js";
import { loadMe, setMe } from "./me.js";
import { failed } from "./notice.js";
import { Router } from "./router.js";
import { show as showSignIn } from "./views/signin.js";

const app = document.getElementById("app");
let stay = null; // aborts when the stay ends: by signing out, or by a key that is not valid any more
let isOut = false; // the sign-in view is there: a wrong key typed into it ends nothing

/** Show the page to whoever is signed in, at the place that the hash names. */
function enter() {
  stay?.abort();
  isOut = false;
  stay = new AbortController();
  const { main, setRoute } = buildFrame(app, () => leave("You are signed out."));
  app.classList.remove("signed-out");
  new Router(main, setRoute).begin(stay.signal);
}

/** End the stay; the hash is kept, so that signing in again leads back to the same place. */
function leave(sentence = "", isTrouble = false) {
  stay?.abort();
  isOut = true;
  setMe(null);
  closeDialogs();
  document.title = "Sign in · Scribebox";
  app.classList.remove("bare");
  app.classList.add("signed-out");
  const root = h("main", { id: "main", class: "main" });
  replace(app, root);
  showSignIn(root, { sentence, isTrouble }, { onSignedIn: enter });
}

async function begin() {
  if (!hasCredential()) return leave();
  try {
    await loadMe();
  } catch (error) {
    if (error instanceof Failure && error.status === 401) return undefined; // told by signed-out
    if (error instanceof Failure && error.status === 403) forgetCredential();
    const root = h("main", { id: "main", class: "main" });
    failed(error, replace(app, root).firstChild, { retry: begin });
    if (error.status === 0) events.addEventListener("back", begin, { once: true });
    return undefined;
  }
  return enter();
}

events.addEventListener("signed-out", ({ detail }) => {
  if (isOut) return;
  forgetCredential();
  leave(detail, true);
});
watchConnection();
begin();
