import type { SameKeys } from '../../i18n/words.ts';
import type { en } from './en.ts';

export const zh: SameKeys<typeof en> = {
  title: '登录',
  text: '了解正在运行的一切，并安全地修改。',
  user: '用户名',
  password: '密码',
  signIn: '登录',
  wrong: '用户名或密码错误。',
  away: '服务器没有应答，请稍后重试。',
  ticketRefused: '该链接已失效。',
  noPassword: '还没有密码？',
  noPasswordText: '在服务器所在的机器上运行以下命令，会生成一个一次性登录链接：',
  command: '命令',
  light: '浅色',
  dark: '深色',
  otherLanguage: 'English',
};
