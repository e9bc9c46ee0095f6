/** XML for libvirt and from it: the one place where a library builds and reads it. Never joined from strings. */
import { XMLBuilder, XMLParser } from 'fast-xml-parser';

/** Attributes begin with `@`; `#text` is the text beside them. */
export type Element = { readonly [name: string]: string | Element | readonly Element[] };

/** libxml2, which libvirt reads and writes with, goes no deeper. */
const depthMax = 256;
/** Names of elements and attributes that the parser refuses. Others may use them in their metadata, which must not hide a whole host. */
const reserved: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);

const format = { ignoreAttributes: false, attributeNamePrefix: '@' } as const;
// An attribute whose value is "true" is an attribute like any other.
const builder = new XMLBuilder({ ...format, suppressEmptyNode: true, suppressBooleanAttributes: false });
const parser = new XMLParser({
  ...format,
  parseTagValue: false,
  parseAttributeValue: false,
  trimValues: false,
  ignoreDeclaration: true,
  maxNestedTags: depthMax,
  transformTagName: withoutReserved,
  transformAttributeName: withoutReserved,
});

/** Every value must have passed `isXmlText`: the builder writes what it is given. */
export function buildXml(root: Element): string {
  return builder.build(root);
}

/** Repeated elements become arrays; values stay strings; the white space between elements is text of the one around them. */
export function parseXml(text: string): Record<string, unknown> {
  return parser.parse(text) as Record<string, unknown>;
}

function withoutReserved(name: string): string {
  return reserved.has(name) ? `reserved.${name}` : name;
}

/**
 * Whether XML 1.0 can hold every character of it and give it back unchanged: no control characters (a line end in an attribute comes back
 * as a space), no halves of a surrogate pair, no U+FFFE and U+FFFF.
 */
export function isXmlText(text: string): boolean {
  return text.isWellFormed() && !/[\p{Cc}\ufffe\uffff]/u.test(text);
}
