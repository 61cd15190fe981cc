// Everything the chat says by itself, in each language it knows. Another language is another block with the same names.

export const WORDS = {
  en: {
    title: "Chat",
    welcome: "Ask us something: you get an answer here.",
    log: "Conversation",
    label: "Your message",
    hint: "Enter sends, Shift and Enter begin a new line.",
    send: "Send",
    left: (count) => `${count} characters left`,
    user: "You",
    bot: "Assistant",
    human: "Our team",
    system: "Notice",
    writing: "The assistant is writing …",
    by_person: "A person answers here.",
    person_asked: "A person will answer here.",
    sending: "Sending …",
    waiting: "Not sent yet",
    lost: "The connection is lost. What you wrote is kept and is sent once it is back.",
    trouble: "The chat has trouble right now. It is tried again by itself.",
    busy: (seconds) => `That was a lot at once. It goes on by itself in ${seconds} seconds.`,
    untracked: "This could not be saved yet. You can go on writing.",
    failed: "That did not work.",
    refused: "This message cannot be sent as it is.",
    retry: "Try again now",
    ended: "This chat has ended.",
    absent: "There is no chat here.",
    anew: "Start a new chat",
    file: "File",
  },
  de: {
    title: "Chat",
    welcome: "Fragen Sie uns etwas: Die Antwort kommt hier.",
    log: "Unterhaltung",
    label: "Ihre Nachricht",
    hint: "Eingabe sendet, Umschalt und Eingabe beginnen eine neue Zeile.",
    send: "Senden",
    left: (count) => `Noch ${count} Zeichen`,
    user: "Sie",
    bot: "Assistent",
    human: "Unser Team",
    system: "Hinweis",
    writing: "Der Assistent schreibt …",
    by_person: "Hier antwortet ein Mensch.",
    person_asked: "Ein Mensch wird hier antworten.",
    sending: "Wird gesendet …",
    waiting: "Noch nicht gesendet",
    lost: "Die Verbindung ist unterbrochen. Was Sie geschrieben haben, bleibt und wird gesendet, sobald sie wieder da ist.",
    trouble: "Der Chat ist gerade gestört. Es wird von selbst wieder versucht.",
    busy: (seconds) => `Das war viel auf einmal. In ${seconds} Sekunden geht es von selbst weiter.`,
    untracked: "Das konnte noch nicht gespeichert werden. Sie können weiterschreiben.",
    failed: "Das hat nicht geklappt.",
    refused: "Diese Nachricht kann so nicht gesendet werden.",
    retry: "Jetzt noch einmal versuchen",
    ended: "Dieser Chat ist beendet.",
    absent: "Hier gibt es keinen Chat.",
    anew: "Neuen Chat beginnen",
    file: "Datei",
  },
};

// The first language of ``wanted`` (such as "de-AT") that there is, else English.
export function choose(wanted) {
  for (const one of wanted) {
    const language = (one || "").toLowerCase().split(/[-_]/)[0];
    if (Object.hasOwn(WORDS, language)) return { language: canonical(one) ?? language, words: WORDS[language] };
  }
  return { language: "en", words: WORDS.en };
}

// ``language`` as browsers write it, such as "en-GB", or undefined if they do not know what it means.
function canonical(language) {
  try {
    return Intl.getCanonicalLocales(language)[0];
  } catch {
    return undefined;
  }
}
