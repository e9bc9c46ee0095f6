/** A row of the matrix: a few command lines in a namespace of their own, and what must be true of each. */

/** As much of an object as a row writes down. */
export type Manifest = Readonly<Record<string, unknown>> & {
  readonly kind: string;
  readonly metadata: Readonly<Record<string, unknown>> & { readonly name: string };
};

/** Short name and object name, as `cm/settings`; a subresource may follow. */
export type Target = string;

/** A merge patch, sent over HTTP by somebody else. */
export interface Change {
  readonly target: Target;
  readonly patch: object;
}

export interface Step {
  /** The words after `kubectl`. `$ns` is the row's namespace, `$dir` the folder of its files; what is in single quotes may have spaces. */
  readonly run: string;
  /** Tried until it is as told, for at most 20 s. */
  readonly again?: boolean;
  /** What it prints is filled in for this word from then on. */
  readonly keeps?: string;
  /** Standard input; objects are written as YAML. */
  readonly input?: string | readonly Manifest[];
  /** What `edit` runs on its file: a sed expression. */
  readonly edit?: string;
  /** 0 unless told. */
  readonly code?: number;
  /** A text is the whole of it, but for the space around it. */
  readonly out?: string | RegExp | readonly RegExp[];
  readonly err?: RegExp;
  /** Once it has printed this (on either output), that is changed; in this order. */
  readonly when?: readonly (readonly [seen: RegExp, change: Change])[];
  /** It would go on for ever, and is ended once it has printed this. */
  readonly until?: RegExp;
  /** Objects afterwards, in part; null if it must be gone. With patience, since collectors take a moment. */
  readonly leaves?: Readonly<Record<Target, object | null>>;
}

export interface Row {
  readonly title: string;
  /** N of the first and the last kubectl 1.N that has it; all unless told. */
  readonly since?: number;
  readonly until?: number;
  /** There before the first step; `status` too. */
  readonly given?: readonly Manifest[];
  readonly files?: Readonly<Record<string, string>>;
  readonly steps: readonly Step[];
}

export function rowsFor(rows: readonly Row[], minor: number): readonly Row[] {
  return rows.filter(({ since = 0, until = Number.POSITIVE_INFINITY }) => since <= minor && minor <= until);
}
