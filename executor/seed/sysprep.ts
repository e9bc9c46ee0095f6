/** The answer file that a generalised Windows (sysprep) takes its name and its administrator's password from at its first boot. */
import { buildXml, type Element, isXmlText } from '../libvirt/xml.ts';
import type { Seed, SeedContent } from './seed.ts';
import { asItIs, requireHostname } from './text.ts';

/** User data is an answer file of the user's own, with whatever names and passwords it has. */
export function sysprep(content: SeedContent): Seed {
  const { userData } = content;
  const text = userData === undefined ? answerFile(content) : asItIs('user data', userData);
  return { label: 'unattend', files: { 'unattend.xml': text } };
}

function answerFile({ hostname, adminPassword }: SeedContent): string {
  if (adminPassword !== undefined && !isXmlText(adminPassword))
    throw new Error(
      'Cannot write the administrator password into an answer file: it has characters that XML cannot hold',
    );
  const password = adminPassword === undefined ? {} : { UserAccounts: administrator(adminPassword) };
  const passes = [
    settings('specialize', { ComputerName: requireHostname(hostname) }),
    settings('oobeSystem', { OOBE: quiet, ...password }),
  ];
  return buildXml({ unattend: { '@xmlns': 'urn:schemas-microsoft-com:unattend', settings: passes } });
}

/** Nobody sits there to be asked. */
const quiet: Element = {
  HideEULAPage: 'true',
  HideLocalAccountScreen: 'true',
  HideOnlineAccountScreens: 'true',
  HideWirelessSetupInOOBE: 'true',
  ProtectYourPC: '3',
};

function administrator(password: string): Element {
  return { AdministratorPassword: { Value: password, PlainText: 'true' } };
}

function settings(pass: string, values: Element): Element {
  const component = {
    '@name': 'Microsoft-Windows-Shell-Setup',
    '@processorArchitecture': 'amd64',
    '@publicKeyToken': '31bf3856ad364e35',
    '@language': 'neutral',
    '@versionScope': 'nonSxS',
    ...values,
  };
  return { '@pass': pass, component };
}
