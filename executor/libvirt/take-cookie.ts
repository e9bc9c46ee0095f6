/**
 * What libvirtd of the source tells that of the destination when all was sent: XML, in which the definition is that is to be stored here. It is replaced by
 * the one that we made, so that no other host writes what this one runs next.
 */
import type { DomainRef } from './protocol.ts';
import { buildXml, type Element, parseXml } from './xml.ts';

interface Cookie {
  readonly name?: unknown;
  readonly uuid?: unknown;
  readonly hostname?: unknown;
  readonly hostuuid?: unknown;
}

/** Throws an Error if it is not about this domain. */
export function takenCookie(cookie: Buffer, domain: DomainRef, definition: string): Buffer {
  // libvirt ends it with a zero, as C's strings are.
  const root = parseXml(cookie.toString('utf8').replace(/\0+$/, ''))['qemu-migration'] as Cookie | undefined;
  if (root?.name !== domain.name || root.uuid !== domain.uuid)
    throw new Error(`What the other host has sent is not ${domain.name}`);
  const [hostname, hostuuid] = [root.hostname, root.hostuuid];
  if (typeof hostname !== 'string' || typeof hostuuid !== 'string' || !/^[0-9a-f-]{36}$/.test(hostuuid))
    throw new Error(`What the other host has sent of ${domain.name} does not tell which host that is`);
  const own = {
    ...{ name: domain.name, uuid: domain.uuid, hostname: hostname.replace(/[^\w.-]/g, ''), hostuuid },
    feature: { '@name': 'persistent' },
    domain: (parseXml(definition) as { domain: Element }).domain,
    // By this libvirt knows that disks were copied, and ends what waited for them.
    nbd: {},
  };
  return Buffer.from(`${buildXml({ 'qemu-migration': own })}\0`);
}
