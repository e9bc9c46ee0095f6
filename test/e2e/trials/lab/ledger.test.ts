import { describe, expect, test } from 'vitest';
import { Ledger } from './ledger.ts';

const page = (boots: number, boot: string) => ({ instance: 'm', boots, boot });

describe('Ledger', () => {
  test('says nothing of a machine that lives once, or is started again for a reason', () => {
    const ledger = new Ledger();
    for (const look of [1, 2, 3]) {
      ledger.sawQemu('m', 'host-0', '10:1');
      ledger.sawPage(page(1, 'a'));
      if (look === 2) ledger.settle();
    }
    ledger.disturb('m');
    ledger.sawQemu('m', 'host-0', '11:2');
    ledger.sawPage(page(2, 'b'));
    expect([ledger.doubled, ledger.restarted, ledger.seen]).toEqual([[], [], 1]);
  });

  test('tells of a QEMU, and of a boot in the same QEMU, that nothing was the reason for', () => {
    const ledger = new Ledger();
    ledger.sawQemu('m', 'host-0', '10:1');
    ledger.sawQemu('m', 'host-0', '11:2');
    expect(ledger.restarted).toEqual(['m has its QEMU number 2 on host-0, and 1 had a reason']);
    ledger.sawPage(page(2, 'b'));
    expect(ledger.restarted.at(-1)).toBe('The disk of m counts 2 boots, and 1 had a reason');
  });

  test('a QEMU that died while it was started is no life of the guest, whose boots count all the same', () => {
    const ledger = new Ledger();
    ledger.sawQemu('m', 'host-0', '10:1');
    ledger.interrupt('m');
    ledger.sawQemu('m', 'host-0', '11:2');
    ledger.sawPage(page(1, 'a'));
    expect(ledger.restarted).toEqual([]);
    ledger.sawPage(page(2, 'b'));
    expect(ledger.restarted).toEqual(['The disk of m counts 2 boots, and 1 had a reason']);
  });

  test('a reason that came to nothing is none later', () => {
    const ledger = new Ledger();
    ledger.sawQemu('m', 'host-0', '10:1');
    ledger.disturb('m');
    ledger.settle();
    ledger.sawQemu('m', 'host-0', '11:2');
    expect(ledger.restarted).toHaveLength(1);
  });

  test('two guests that answer by turns are one machine doubled, and so is a disk whose counter goes back', () => {
    const ledger = new Ledger();
    for (const _ of [1, 2, 3]) ledger.disturb('m');
    ledger.sawPage(page(1, 'a'));
    ledger.sawPage(page(2, 'b'));
    expect(ledger.doubled).toEqual([]);
    ledger.sawPage(page(1, 'a'));
    expect(ledger.doubled).toEqual([
      'm answers as boot a again, after boot b',
      'The disk of m counted 2 boots, and 1 at the next one',
    ]);
    ledger.sawPage(page(1, 'c'));
    expect(ledger.doubled.at(-1)).toBe('The disk of m counted 1 boots, and 1 at the next one');
  });
});
