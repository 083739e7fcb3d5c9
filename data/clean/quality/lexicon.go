package quality

import "strings"

// The words by which Density tells dense text from talk. They are few, frequent, and of no particular field.

func setOf(words string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(words) {
		set[w] = true
	}
	return set
}

func runesOf(text string) map[rune]bool {
	set := map[rune]bool{}
	for _, r := range text {
		set[r] = true
	}
	return set
}

var (
	// hanFunction are characters of grammar and of talk; hanTechnical end or begin most technical words.
	hanFunction  = runesOf("的了是我你他她它们就都也很在有和与不这那么着过吗呢吧啊呀哦嗯啦嘛哈哎噢呗没太真挺还又再才只要会能可以把被给让跟对到去来说看想做个些什怎样为因所但而且如果然后時們這個沒還會說來對過嗎")
	hanTechnical = runesOf("率度量值性器层剂材法式阀管线板梁系数压温流电阻径厚径缝槽轴泵筒膜胶漆砂浆钢混凝固化合物质酸碱盐氧氢碳频波频谱模型参数函阈矩阵端口协议码库程标准规范级差限载荷验测检修焊铆栓垫绝缘层層數電壓溫測檢規範標準")

	englishFunction = setOf(`the a an and or but if then than so of to in on at by for with from as is are was were be been being am it its this that these
		those there here he she they them his her their we us our you your i me my mine do does did have has had can could will would just very really
		not no yes all some any what which who when where why how about into out up down over too also only more most such like get got go going i'm
		i've it's don't you're we're that's let's can't didn't i'd i'll`)
	talk = setOf(`i me my mine we us our you your just really very like got going i'm i've i'd i'll you're we're let's so yes`)

	units = setOf(`mm cm m km kg g mg t s ms us ns min h hz khz mhz ghz v kv mv a ma w kw mw kwh pa kpa mpa bar psi n nm kn l ml db c k f mol rpm ppm
		b kb mb gb tb kib mib gib bit bits byte bytes percent volts amps watts ohms degrees seconds minutes hours days weeks months years meters metres
		millimeters millimetres millimeter milliseconds inches feet pounds kilograms grams liters litres times users rpm m2 m3 dpi px mbps gbps`)
	hanUnits = strings.Fields(`毫米 厘米 平方米 立方米 平米 千米 公里 公斤 千克 毫克 毫升 升 克 吨 米 摄氏度 度 ℃ ° % ％ ‰ ㎡ 兆帕 千帕 帕 伏 安培 千瓦 瓦 赫兹 转 毫秒 秒 分钟 小时 天 日 周 个月 月 年
		元 万元 亿元 倍 次 遍 道 层 级 人 件 块 箱 张 根 个 项 版 条 页 行 位 字节 號 号`)

	// entityPhrases end Chinese names of bodies, places, works and laws of nature; · parts the names of foreigners.
	entityPhrases = strings.Fields(`· 公司 大学 学院 研究院 研究所 实验室 委员会 协会 博物馆 博览会 出版社 医院 银行 定律 定理 方程 效应 规程 条例 协议 系统 法院 政府 共和国 王朝 世纪 大學 學院 實驗室 協會 系統`)

	structurePhrases = strings.Fields(`是指 定义为 称为 参见 详见 见图 见表 如图 如表 按照 依据 根据 应当 必须 不得 不应 宜 严禁 注意： 警告： 其中： 公式 步骤 方法如下 如下： 包括： 要求： 标准 规范 规定 第一章 首先 其次 由此 因此
		其特征 分为 适用于 取决于 等于 大于 小于 不超过 不低于 不小于 不大于 低于 超过 允许 误差 标称 额定 條 應當 必須`)
	chatterPhrases = strings.Fields(`小编 大家好 家人们 宝子 亲们 姐妹们 朋友们 咱们 哈哈 呵呵 嘻嘻 点赞 关注我 转发 收藏 评论区 私信 加微信 微信号 点击 下单 免费 咨询 报价 批发 厂家直销 直销 优惠 秒杀 限时 抢购 促销 热线 欢迎来电 走过路过
		太棒了 绝绝子 种草 拔草 安利 踩坑 真的 超级 超好 我觉得 我感觉 个人觉得 说实话 不得不说 今天给大家 话说 其实吧 有木有 震惊 速看 必看 赚钱 日赚 代理 加盟`)

	englishStructure = []string{" shall ", " must ", " should ", "is defined as", "refers to", "see section", "see figure", "see table", "figure ", "table ", "step ",
		"chapter ", "note:", "warning:", "caution:", "is called", "consists of", "according to", "less than", "greater than", "at least", "at most",
		"does not exceed", "equal to", "depends on", "as follows"}
	englishChatter = []string{"click here", "subscribe", "follow me", "like and share", "buy now", "free shipping", "limited offer", "best price", "lol", "omg",
		"awesome", "amazing", "guys", "honestly", "you know", "in my opinion", "check out", "sign up", "don't miss", "discount", "hey ", "super ", "kind of", "stay tuned"}
)
