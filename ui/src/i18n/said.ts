import { language } from './language.ts';

/** What the program says of what it sees: its sentences, and the same in Chinese. `{n}` is what stands in the n-th gap of the pattern. */
const CHINESE: readonly (readonly [pattern: RegExp, text: string])[] = [
  [/^(\d+) wait$/, '{1} 个等待'],
  [/^(\d+) of (\d+) slots free$/, '空闲槽位 {1} / {2}'],
  [/^(\d+) of (\d+) usable$/, '可用 {1} / {2}'],
  [/^the connection is refused$/, '连接被拒绝'],
  [/^the connection is reset$/, '连接被重置'],
  [/^the host cannot be reached$/, '主机不可达'],
  [/^the network cannot be reached$/, '网络不可达'],
  [/^connecting takes too long$/, '连接超时'],
  [/^its name has no address$/, '域名没有地址'],
  [/^its name cannot be resolved now$/, '域名暂时无法解析'],
  [/^this process has no file descriptors left for the probe$/, '本进程没有剩余的文件描述符可用于探测'],
  [/^its certificate is for another name$/, '其证书属于另一个域名'],
  [/^its certificate has expired$/, '其证书已过期'],
  [/^its certificate is not valid yet$/, '其证书尚未生效'],
  [/^its certificate is signed by itself$/, '其证书是自签名的'],
  [/^its certificate is signed by nobody who is believed$/, '其证书不是由受信任的机构签发的'],
  [/^it does not speak TLS$/, '对方不支持 TLS'],
  [/^it does not speak HTTP\/2$/, '对方不支持 HTTP/2'],
  [/^the head of its answer is too long$/, '其响应头过长'],
  [/^the connection ends without an answer$/, '连接在应答之前结束'],
  [/^the answer takes too long$/, '应答超时'],
  [/^no agent is connected$/, '没有代理端在线'],
  [/^takes connections$/, '接受连接'],
  [/^answers (\d+)$/, '应答 {1}'],
  [/^host (.+) is not (.+)$/, '主机 {1} 不是 {2}'],
  [/^path (.+) does not begin with (.+)$/, '路径 {1} 不以 {2} 开头'],
  [/^path (.+) does not match (.+)$/, '路径 {1} 与 {2} 不匹配'],
  [/^path (.+) is not (.+)$/, '路径 {1} 不是 {2}'],
  [/^method (\S+) is not (.+)$/, '方法 {1} 不是 {2}'],
  [/^(.+) does not hold$/, '条件 {1} 不成立'],
];

/** What the program says in English, in the language of the page where that is known. */
export function said(text: string): string {
  if (language.value === 'en') return text;
  for (const [pattern, chinese] of CHINESE) {
    const found = pattern.exec(text);
    if (found !== null) return chinese.replaceAll(/\{(\d)\}/g, (_gap, n: string) => found[Number(n)] ?? '');
  }
  return text;
}
