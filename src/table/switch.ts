// How the OpenShift router writes true and false, in settings and annotations (Route semantics 4, conventions).

const trueWords: readonly string[] = ['1', 't', 'T', 'TRUE', 'true', 'True'];
const falseWords: readonly string[] = ['0', 'f', 'F', 'FALSE', 'false', 'False'];

/** What a word stands for; undefined where it is neither. */
export function readSwitch(text: string): boolean | undefined {
  if (trueWords.includes(text)) return true;
  return falseWords.includes(text) ? false : undefined;
}
