import { XMLParser } from 'fast-xml-parser';

/** Path of element names and the text of every element and attribute, in the order of the document. Reads on its own, with order kept. */
export function rowsOf(xml: string): readonly string[][] {
  const order = { preserveOrder: true, ignoreAttributes: false, attributeNamePrefix: '@', trimValues: false } as const;
  const nodes = new XMLParser({ ...order, parseTagValue: false, parseAttributeValue: false }).parse(xml) as object[];
  const walk = (path: string, node: object): string[][] =>
    Object.entries(node).flatMap(([name, content]) => {
      if (name === '#text') return [[`${path}#`, content as string]];
      if (name === ':@') return Object.entries(content as object).map(([attribute, text]) => [path + attribute, text]);
      const inner = `${path}/${name}`;
      return [[inner], ...(content as object[]).flatMap((child) => walk(inner, child))];
    });
  return nodes.flatMap((node) => walk('', node));
}
