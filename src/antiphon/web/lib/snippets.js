// Snippets: a speech request as a curl command and as a Python script.
import { signedIn } from "/web/net/api.js";

const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function asked(body) {
  const { type, ...fields } = body;
  return fields;
}

export function curl(body) {
  return [
    `curl ${location.origin}/v1/audio/speech`,
    ...(signedIn() ? ['-H "Authorization: Bearer $ANTIPHON_KEY"'] : []),
    "-H 'Content-Type: application/json'",
    `-d ${shell(JSON.stringify(asked(body)))}`,
    "-o speech.wav",
  ].join(" \\\n  ");
}

/** JSON is valid Python except for true, false and null, which no request of the page has. */
export function python(body) {
  const key = signedIn() ? '    headers={"Authorization": "Bearer " + os.environ["ANTIPHON_KEY"]},\n' : "";
  return `${signedIn() ? "import os\n\n" : ""}import httpx  # pip install httpx

with httpx.stream(
    "POST",
    ${JSON.stringify(`${location.origin}/v1/audio/speech`)},
    json=${JSON.stringify(asked(body))},
${key}    timeout=None,
) as answer:
    answer.raise_for_status()
    with open("speech.wav", "wb") as file:
        for chunk in answer.iter_bytes():
            file.write(chunk)
`;
}
